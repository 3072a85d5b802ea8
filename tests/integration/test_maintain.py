"""maintain: what is promised is kept, though months pass and logs are cut; the rest goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.edge.context import StepResult
from jobs.edge.ledger import Entry
from jobs.edge.models import CANDIDATE, REFUSED, Models
from jobs.edge.tables import Tables
from jobs.errors import MissingError
from jobs.runner import run_step
from jobs.steps.maintain import maintain
from jobs.steps.rollback import rollback
from jobs.transforms.layout import EVENT_COLUMNS
from tests.nights import IDS, NOW, NewContext, live, night, predicted, prepared, rate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = 86_400
_TIMES = ("timestamp", "deletionTimestamp", "modificationTime", "createdTime")


def maintained(new: NewContext, run_id: str = "maintain", **settings: object) -> Entry:
    return run_step(maintain, "maintain", run_id, new("maintain", **settings).settings)


def age(lake: str, days: int) -> None:
    """Let days pass: all that Delta looks at is so much older, in the log and of the files."""
    for file in Path(lake).glob("*/_delta_log/*.json"):
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        for action in (value for line in actions for value in line.values() if isinstance(value, dict)):
            action.update({name: action[name] - days * DAY * 1000 for name in _TIMES if action.get(name)})
        modified = file.stat().st_mtime
        file.write_text("".join(json.dumps(line) + "\n" for line in actions))
        os.utime(file, (modified, modified))
    for file in Path(lake).rglob("*"):
        if file.is_file():
            os.utime(file, (file.stat().st_mtime - days * DAY,) * 2)


def checkpoint(lake: str) -> None:
    """As Spark does every tenth commit. Whoever reads a table from then on sees no more of its log before that."""
    for name in ("forms", "predictions"):
        DeltaTable(f"{lake}/{name}").create_checkpoint()


def back(new: NewContext, to: str) -> None:
    run_step(partial(rollback, to=to), "rollback", f"back-to-{to}", new("rollback").settings)


def forget_generation(new: NewContext, name: str) -> None:
    new("x").serving._files.delete(f"serving/{name}")


@pytest.fixture
def old_lake(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Tables are made as an earlier version made them, until this is called."""
    with_history = Tables.create

    def create(tables: Tables, name: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("jobs.edge.tables.kept_history", lambda _: {})
            with_history(tables, name)

    monkeypatch.setattr(Tables, "create", create)
    return lambda: monkeypatch.setattr(Tables, "create", with_history)


def assert_back_at_r1(lake: str) -> None:
    rates = {form_id: rate(at, "r1") for at, form_id in enumerate(IDS)}
    assert predicted(lake) == rates
    assert {form_id: score.predicted_rate for form_id, score in live(lake).items() if score} == rates


def test_files_that_a_rollback_may_need_outlive_a_checkpoint(new_context: NewContext, lake: str) -> None:
    """r1 was written 20 days ago, and replaced 10 days ago."""
    night(new_context, "r1")
    age(lake, 10)
    night(new_context, "r2")
    age(lake, 10)
    checkpoint(lake)
    forget_generation(new_context, "r1-v1")

    maintained(new_context)
    back(new_context, "r1")
    assert_back_at_r1(lake)


def test_a_lake_of_before_keeps_its_files_once_it_is_maintained(
    new_context: NewContext, lake: str, old_lake: Callable[[], None]
) -> None:
    night(new_context, "r1")
    age(lake, 10)
    night(new_context, "r2")
    old_lake()
    assert "delta.logRetentionDuration" not in properties(lake, "predictions")
    maintained(new_context, "first")
    age(lake, 10)
    checkpoint(lake)
    forget_generation(new_context, "r1-v1")

    maintained(new_context, "second")
    back(new_context, "r1")
    assert_back_at_r1(lake)
    assert properties(lake, "predictions")["delta.deletedFileRetentionDuration"] == "interval 14 days"


def test_what_is_past_the_retention_goes(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    age(lake, 10)
    night(new_context, "r2")
    age(lake, 15)
    forget_generation(new_context, "r1-v1")

    maintained(new_context)
    with pytest.raises(MissingError, match=r"cannot be read .*older than FORMCAST_RETENTION_DAYS"):
        back(new_context, "r1")
    assert len(list(Path(lake, "predictions").glob("*.parquet"))) == 3  # those of r2, and what they were compacted to


def test_forms_are_kept_as_long_as_the_scores_made_from_them(new_context: NewContext, lake: str) -> None:
    """Night after night failed after prepare: the forms of r1 gave way 16 days ago, its predictions today."""
    night(new_context, "r1")
    prepared(new_context("prepare", "failed"))
    age(lake, 16)
    night(new_context, "r2")
    checkpoint(lake)
    forget_generation(new_context, "r1-v1")

    maintained(new_context)
    back(new_context, "r1")
    assert_back_at_r1(lake)


def test_a_log_that_was_cut_stops_no_maintenance(new_context: NewContext, lake: str) -> None:
    """Commits are left of versions that nobody can open any more, since what they changed is gone."""
    night(new_context, "r1")
    prepared(new_context("prepare", "failed"))
    night(new_context, "r2")
    checkpoint(lake)
    Path(lake, "forms", "_delta_log", f"{0:020d}.json").unlink()
    maintained(new_context)


def test_spark_reads_and_merges_tables_that_keep_their_history(
    spark: SparkSession, new_context: NewContext, lake: str, old_lake: Callable[[], None]
) -> None:
    from delta.tables import DeltaTable as SparkTable

    night(new_context, "r1")
    old_lake()
    maintained(new_context, "first", retention_days=40)
    kept = {
        "delta.deletedFileRetentionDuration": "interval 40 days",
        "delta.logRetentionDuration": "interval 75 days",
    }
    assert kept.items() <= properties(lake, "forms").items()
    before = Tables(lake).version("forms")
    maintained(new_context, "second", retention_days=40)
    operations = [commit["operation"] for commit in Tables(lake).delta("forms").history()]
    assert operations.count("SET TBLPROPERTIES") == 1

    forms = spark.read.format("delta").load(f"{lake}/forms")
    new = spark.createDataFrame([forms.first()], forms.schema).selectExpr("'new' as form_id", *forms.columns[1:])
    table = SparkTable.forPath(spark, f"{lake}/forms").alias("old")
    table.merge(new.alias("new"), "old.form_id = new.form_id").whenNotMatchedInsertAll().execute()
    assert Tables(lake).version("forms").rows == before.rows + 1
    assert kept.items() <= properties(lake, "forms").items()


def properties(lake: str, name: str) -> dict[str, str]:
    found: dict[str, str] = Tables(lake).delta(name).metadata().configuration
    return found


def old_nights(new: NewContext, lake: str) -> None:
    """r0 gave way 30 days ago, r1 20 days ago, r2 10 days ago; r3 is live. The models are 40 days old."""
    night(new, "r0")
    night(new, "r1")
    age(lake, 10)
    night(new, "r2")
    age(lake, 10)
    night(new, "r3")
    age(lake, 10)
    forget_generation(new, "r2-v3")
    models = new("x").models
    month_ago = datetime.now(UTC) - timedelta(days=40)
    models.save([replace(model, created_at=month_ago) for model in models.all()])
    for name, state, created_at in (
        ("candidate", CANDIDATE, month_ago),
        ("refused", REFUSED, month_ago),
        ("young", REFUSED, datetime.now(UTC) - timedelta(days=13)),
    ):
        models.save([replace(models.get("m-r0"), version=name, state=state, created_at=created_at)])
    for name in ("candidate", "refused", "young", "lost", "new"):
        add_folder(lake, name, days=0 if name == "new" else 40)


def add_folder(lake: str, name: str, days: int) -> None:
    folder = Path(lake, "models", name)
    folder.mkdir()
    for file in ("model.onnx", "manifest.json"):
        (folder / file).write_text("{}")
        os.utime(folder / file, ((folder / file).stat().st_mtime - days * DAY,) * 2)


def folders(lake: str) -> set[str]:
    return {path.name for path in Path(lake, "models").iterdir()}


def test_models_that_nothing_needs_go_and_their_rows_stay(new_context: NewContext, lake: str) -> None:
    old_nights(new_context, lake)
    rows = [model.version for model in Models(Tables(lake)).all()]

    done = maintained(new_context)
    assert folders(lake) == {
        "m-r1",
        "m-r2",
        "m-r3",
        "candidate",
        "young",
        "new",
    }  # r1 by its generation, r2 by its rows
    assert done.counts["models_deleted"] == 3
    assert "3 models" in done.message
    assert [model.version for model in Models(Tables(lake)).all()] == rows
    back(new_context, "r2")


def test_no_model_goes_while_it_is_not_known_which_a_rollback_needs(new_context: NewContext, lake: str) -> None:
    old_nights(new_context, lake)
    before = folders(lake)
    Tables(lake).delta("predictions").vacuum(0, dry_run=False, enforce_retention_duration=False)

    assert maintained(new_context).counts["models_deleted"] == 0
    assert folders(lake) == before


def refuse(lake: str, run_id: str, lines: dict[str, int], **facts: Any) -> None:
    """Lines that a run refused so many days ago."""
    row = {"reasons": ["views_not_a_number"], "source_file": "f", "columns": "form_id,views", "replayed_by": None}
    at = {line: datetime.now(UTC) - timedelta(days=days) for line, days in lines.items()}
    rows = [row | {"line": line, "run_id": run_id, "rejected_at": at[line]} | facts for line in lines]
    Tables(lake).append("rejected_forms", rows)


def ingested(new: NewContext, run_id: str, mode: str, *, is_told: bool = True) -> None:
    """The ledger's row of prepare; those of before 0.2 have no details, and a full one has its metric."""
    prepared(new("prepare", run_id))
    until = {("data_until", ""): NOW.timestamp()} if mode == "full" else {}
    wrote = [new("prepare").tables.version("forms")]
    result = StepResult(wrote=wrote, metrics=until, details={"mode": mode} if is_told else {})
    run_step(lambda _: result, "prepare", run_id, new("prepare").settings)


def lines_left(lake: str) -> set[str]:
    return set(pa.table(Tables(lake).delta("rejected_forms").to_pyarrow_table())["line"].to_pylist())


@pytest.mark.parametrize("is_told", [True, False])
def test_old_refused_lines_go_but_none_that_a_replay_may_take(
    is_told: bool, new_context: NewContext, lake: str
) -> None:
    ingested(new_context, "o'ld", "full", is_told=is_told)
    ingested(new_context, "full", "full", is_told=is_told)
    ingested(new_context, "increment", "increment", is_told=is_told)
    refuse(lake, "o'ld", {"old-1": 200, "old-2": 91})
    refuse(lake, "full", {"full": 100})
    refuse(lake, "full", {"full, replayed": 100}, replayed_by="r")
    refuse(lake, "increment", {"increment": 95, "new": 1})
    refuse(lake, "increment", {"superseded": 95}, reasons=["superseded_duplicate"])
    refuse(lake, "stream-s", {"event": 91, "new event": 89}, columns=",".join(EVENT_COLUMNS))

    done = maintained(new_context)
    assert lines_left(lake) == {"full", "increment", "new", "new event"}
    assert done.counts["rejected_deleted"] == 5
    assert "5 refused lines" in done.message
    assert maintained(new_context, "again", rejected_days=30).counts["rejected_deleted"] == 1
    assert lines_left(lake) == {"full", "increment", "new"}


def test_without_a_full_ingest_every_line_that_waits_is_kept(new_context: NewContext, lake: str) -> None:
    ingested(new_context, "increment", "increment")
    refuse(lake, "increment", {"waits": 400})
    refuse(lake, "increment", {"replayed": 400}, replayed_by="r")
    maintained(new_context)
    assert lines_left(lake) == {"waits"}


def test_an_empty_lake_is_maintained_too(new_context: NewContext) -> None:
    assert set(maintained(new_context).counts.values()) == {0}
