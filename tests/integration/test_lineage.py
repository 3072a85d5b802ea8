"""Scores are served with the features of the forms that were scored, whatever was done to the tables since."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from jobs.edge.context import StepResult
from jobs.edge.export_source import predictions_of
from jobs.edge.ledger import Ledger
from jobs.edge.lineage import model_of, scores
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.runner import run_step
from jobs.steps.publish import publish
from jobs.steps.rollback import rollback
from speed.generations import Generations
from tests.nights import IDS, NewContext, night, predicted, prepared, put, rate, scored

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEWER = IDS[1:]


def compact(lake: str, *names: str) -> None:
    for name in names or ("forms", "predictions"):
        assert Tables(lake).delta(name).optimize.compact()["numFilesRemoved"] == 2


def forget_old_files(lake: str) -> None:
    for name in ("forms", "predictions"):
        Tables(lake).delta(name).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)


def forget_log_before(lake: str, name: str, version: int) -> None:
    table = DeltaTable(f"{lake}/{name}")
    table.create_checkpoint()
    for file in Path(lake, name, "_delta_log").glob("*.json"):
        if int(file.stem) < version:
            file.unlink()


def publish_anew(new: NewContext) -> None:
    """As a run of its own, which has neither prepared nor scored."""
    run_step(publish, "publish", "anew", new("publish", allow_older=True).settings)


def back(new: NewContext, to: str, run_id: str = "back") -> None:
    run_step(partial(rollback, to=to), "rollback", run_id, new("rollback").settings)


def served(lake: str) -> tuple[str, set[float], set[float]]:
    """The live generation, the rates in it less what they have in every run, and feat_05."""
    with closing(Generations(Path(lake) / "serving").open(live_name(lake))) as generation:
        found = {id_: generation.store.get(id_) for id_ in IDS}
        features = [generation.store.features(id_) for id_, score in found.items() if score]
        assert all(values is not None for values in features)
        rates = {round(score.predicted_rate - rate(score.views, ""), 6) for score in found.values() if score}
        return live_name(lake), rates, {float(values[4]) for values in features if values is not None}


def live_name(lake: str) -> str:
    return Generations(Path(lake) / "serving").live_name()


def test_scores_of_a_compacted_table_are_served_with_their_own_forms(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1", feature=1.0)
    compact(lake)
    prepared(new_context("prepare", "r2"), feature=2.0)

    publish_anew(new_context)
    assert served(lake) == ("r1-v1", {0.0}, {1.0})


def test_scores_that_were_restored_are_served_with_their_own_forms(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1", feature=1.0)
    night(new_context, "r2", FEWER, feature=2.0)
    back(new_context, "r1")
    compact(lake, "predictions")
    prepared(new_context("prepare", "r3"), feature=3.0)

    publish_anew(new_context)
    assert served(lake) == ("r1-v1", {0.0}, {1.0})
    assert predicted(lake) == {id_: rate(at, "r1") for at, id_ in enumerate(IDS)}


def test_a_rollback_finds_the_rows_of_a_run_in_a_compacted_table(new_context: NewContext, lake: str) -> None:
    """Of the files that score wrote none is left, and the generation is gone too."""
    night(new_context, "r1", feature=1.0)
    compact(lake)
    forget_old_files(lake)
    night(new_context, "r2", FEWER, feature=2.0)
    new_context("x").serving._files.delete("serving/r1-v1")

    back(new_context, "r1")
    assert served(lake) == ("r1-v1", {0.0}, {1.0})
    assert predicted(lake) == {id_: rate(at, "r1") for at, id_ in enumerate(IDS)}


def test_a_rollback_goes_to_the_last_score_of_a_run(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1", feature=1.0)
    scored(new_context, "r1", feature=1.5, redo=1)
    night(new_context, "r2", feature=2.0)

    back(new_context, "r1")
    assert served(lake) == ("r1-v2", {0.0}, {1.5})


def test_a_rollback_to_what_the_table_holds_already_publishes_it(new_context: NewContext, lake: str) -> None:
    """Of r2, everything but the publish went well."""
    night(new_context, "r1", feature=1.0)
    scored(new_context, "r2", feature=2.0)
    compact(lake, "predictions")

    back(new_context, "r2")
    assert served(lake) == ("r2-v2", {0.05}, {2.0})
    assert new_context("x").tables.version("predictions").version == 3


def test_an_export_finds_rows_whose_first_files_are_gone(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    before = str(predictions_of(Tables(lake)))
    compact(lake)
    forget_old_files(lake)

    for run_id in ("", "r1"):
        found = predictions_of(Tables(lake), run_id)
        assert str(found) == before
        assert sum(batch.num_rows for batch in found.batches(lambda _: None)) == len(IDS)


def test_the_model_of_a_score_is_found_by_its_entry_or_in_the_table(new_context: NewContext, lake: str) -> None:
    scored(new_context, "r1")
    compact(lake)
    forget_old_files(lake)
    told = StepResult(wrote=[Tables(lake).version("predictions")], details={"model": "m"})
    run_step(lambda _: told, "score", "r2", new_context("score").settings)
    assert models(lake) == ["m-r1", "m"]

    scored(new_context, "r3")
    forget_old_files(lake)
    assert models(lake) == [None, "m", "m-r3"]


def models(lake: str) -> list[str | None]:
    return [model_of(Tables(lake), entry) for entry in scores(Ledger(Tables(lake)).entries())]


def test_what_neither_history_nor_ledger_tell_is_not_guessed(new_context: NewContext, lake: str) -> None:
    context, tables = new_context("score", "r1"), Tables(lake)
    put(tables, "predictions", [])
    scored(new_context, "r1")
    forms = tables.version("forms")
    night(new_context, "r2")
    before = served(lake)
    unknown = r"Neither the table's history nor the ledger says .* version \d+ of predictions .*: score anew"

    tables.delta("predictions").restore(1)  # rows that no entry knows
    with pytest.raises(MissingError, match=unknown):
        publish_anew(new_context)

    tables.delta("predictions").restore(2)
    tables.delta("predictions").alter.set_table_properties({"delta.checkpointInterval": "50"})
    forget_log_before(lake, "predictions", 6)
    with pytest.raises(MissingError, match=unknown):
        publish_anew(new_context)
    with pytest.raises(MissingError, match=r"Run 'r9' scored no forms"):
        back(new_context, "r9")
    with pytest.raises(MissingError, match=r"'r1' are older than the table's history: choose a later run"):
        back(new_context, "r1")

    entry = scored(new_context, "r3")
    prepared(context)
    forget_log_before(lake, "forms", forms.version + 3)
    assert entry.versions_read["forms"] == forms.version + 2
    with pytest.raises(MissingError, match=r"older than the history of their table: score anew"):
        publish_anew(new_context)
    assert served(lake) == before


def test_a_table_that_was_made_anew_is_not_taken_for_the_old_one(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1", feature=1.0)
    new_context("x").serving._files.delete("predictions")
    night(new_context, "r2", feature=2.0)

    with pytest.raises(MissingError, match=r"'r1' are gone: the table was made anew since\. Choose a later run"):
        back(new_context, "r1")
    assert served(lake) == ("r2-v1", {0.05}, {2.0})


@pytest.mark.parametrize("wrong", ["views", "run"])
def test_forms_that_are_not_those_of_the_scores_do_not_pass(wrong: str, new_context: NewContext, lake: str) -> None:
    """Whatever the ledger says."""
    context = new_context("score", "r1")
    put(context.tables, "predictions", [])
    scored(new_context, "r0")
    prepared(context, IDS[::-1] if wrong == "views" else IDS)
    says = StepResult(read=[context.tables.version("forms")], wrote=[context.tables.version("predictions")])
    run_step(lambda _: says, "score", "r0" if wrong == "views" else "r1", new_context("score", redo=1).settings)

    with pytest.raises(FormcastError, match="The forms are not those of the predictions"):
        publish_anew(new_context)


def test_what_spark_does_to_a_table_is_understood(spark: SparkSession, new_context: NewContext, lake: str) -> None:
    night(new_context, "r1", feature=1.0)
    night(new_context, "r2", FEWER, feature=2.0)
    table = f"delta.`{lake}/predictions`"
    spark.sql(f"restore table {table} to version as of 1")
    spark.sql(f"optimize {table}")
    spark.sql(f"alter table {table} set tblproperties ('delta.checkpointInterval' = '50')")
    spark.sql(f"vacuum {table}")

    publish_anew(new_context)
    assert served(lake) == ("r1-v1", {0.0}, {1.0})
    operations = [commit["operation"] for commit in Tables(lake).delta("predictions").history(5)]
    assert operations == ["VACUUM END", "VACUUM START", "SET TBLPROPERTIES", "OPTIMIZE", "RESTORE"]
