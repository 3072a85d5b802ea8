"""publish and rollback on a real lake, predictions written without Spark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.edge.context import StepContext, StepResult
from jobs.edge.ledger import Entry
from jobs.edge.models import ARCHIVED, CHAMPION, ModelVersion
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.runner import run_step
from jobs.schemas import FORMS, PREDICTIONS
from jobs.steps.publish import publish
from jobs.steps.rollback import rollback
from speed.contract import FEATURES
from speed.stores.lmdb import LmdbStore, current_folder
from speed.stores.records import Score

NewContext = Callable[..., StepContext]
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
IDS = ["b-2", "ä", "10", "9", "Z" * 256]


def rate(at: int, run_id: str) -> float:
    return (at + 1) / 10 + (0.05 if run_id == "r2" else 0.0)


def night(new: NewContext, run_id: str, ids: list[str] = IDS) -> Entry:
    """A night whose predictions differ from those of other nights: score's table, its ledger row, publish."""
    context = new("score", run_id)
    tables = context.tables
    forms = [
        {"form_id": id_, "views": at, "submissions": 0, "completion_rate": 0.0 if at else None, "run_id": run_id}
        | dict.fromkeys(FEATURES, 0.0)
        | {"ingested_at": NOW}
        for at, id_ in enumerate(ids)
    ]
    predictions = [
        {"form_id": form["form_id"], "predicted_rate": rate(at, run_id), "lower": None, "upper": None}
        | {"completion_rate": form["completion_rate"], "views": form["views"]}
        | {"model_version": f"m-{run_id}", "run_id": run_id, "scored_at": NOW}
        for at, form in enumerate(forms)
    ]
    for name, rows, schema in (("forms", forms, FORMS), ("predictions", predictions, PREDICTIONS)):
        tables.create(name)
        write_deltalake(tables.path(name), pa.Table.from_pylist(rows, schema=schema), mode="overwrite")
    empty = {"params": {}, "metrics": {"mae": 0.1}, "data_version": 0, "artifact_uri": "", "artifact_sha256": ""}
    model = ModelVersion(f"m-{run_id}", run_id, "gbt", **empty, state="candidate", reason="", created_at=NOW)
    context.models.save([model])
    context.models.promote(model.version, "better")
    run_step(lambda _: StepResult(wrote=[tables.version("predictions")]), "score", run_id, context.settings)
    return run_step(publish, "publish", run_id, context.settings)


def live(lake: str) -> dict[str, Score | None]:
    with LmdbStore(current_folder(Path(lake) / "serving")) as store:
        return {form_id: store.get(form_id) for form_id in [*IDS, "unknown"]}


def predicted(lake: str) -> dict[str, float]:
    rows = Tables(lake).delta("predictions").to_pyarrow_table().to_pylist()
    return {row["form_id"]: row["predicted_rate"] for row in rows}


def test_publish_serves_what_the_table_says(new_context: NewContext, lake: str) -> None:
    entry = night(new_context, "r1")

    assert entry.counts["published"] == len(IDS)
    assert live(lake) == {
        id_: Score(id_, rate(at, "r1"), None, None, 0.0 if at else None, at) for at, id_ in enumerate(IDS)
    } | {"unknown": None}


def test_publish_keeps_the_old_generation_live_where_rows_are_missing(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    before = live(lake)
    tables = Tables(lake)
    short = tables.delta("predictions").to_pyarrow_table().slice(1)
    write_deltalake(tables.path("predictions"), short, mode="overwrite")

    with pytest.raises(FormcastError, match="must be the same number"):
        run_step(publish, "publish", "r2", new_context("publish", "r2").settings)

    assert live(lake) == before


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_generation_is_never_made_live(damage: str, new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    serving = Serving(Tables(lake))
    file = serving.folder / "r1-v1" / "scores.mdb"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data if damage == "flip" else data[: len(data) // 2])

    with pytest.raises(FormcastError, match="publish again"):
        serving.build(1)


def test_old_generations_go_and_the_live_one_stays(new_context: NewContext, lake: str) -> None:
    for run_id in ("r1", "r2", "r3", "r4", "r5"):
        night(new_context, run_id)

    kept = {manifest.run_id for manifest in Serving(Tables(lake)).kept()}
    assert kept == {"r3", "r4", "r5"}


def test_rollback_moves_predictions_serving_and_champion_together(new_context: NewContext, lake: str) -> None:
    for run_id in ("r1", "r2", "r3", "r4", "r5"):
        night(new_context, run_id)
    settings = new_context("rollback").settings

    for run_id in ("r2", "r4"):  # the generation of r2 was pruned and is built anew
        run_step(partial(rollback, to=run_id), "rollback", f"back-to-{run_id}", settings)

        expected = {id_: rate(at, run_id) for at, id_ in enumerate(IDS)}
        assert predicted(lake) == expected
        assert {id_: score.predicted_rate for id_, score in live(lake).items() if score} == expected
        states = {m.version: m.state for m in new_context("x").models.all()}
        assert [version for version, state in states.items() if state == CHAMPION] == [f"m-{run_id}"]
        assert states["m-r5"] == ARCHIVED

    with pytest.raises(MissingError, match="has no predictions"):
        run_step(partial(rollback, to="nobody"), "rollback", "back-to-nobody", settings)


@pytest.mark.parametrize("failing", ["swap", "promote"])
def test_a_rollback_that_fails_half_way_changes_nothing(
    failing: str, new_context: NewContext, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(new_context, "r1")
    night(new_context, "r2")
    context = new_context("rollback", "back")
    before = live(lake), predicted(lake), context.models.champion()

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(context.serving if failing == "swap" else context.models, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        rollback(context, to="r1")

    assert (live(lake), predicted(lake), context.models.champion()) == before
    assert context.serving.unfinished_rollback() is None
