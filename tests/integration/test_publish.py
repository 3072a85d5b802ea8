"""publish and rollback on a real lake, predictions written without Spark."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from deltalake import write_deltalake
from generations import publish_generation

from jobs.commands.pin import pin, unpin
from jobs.edge.context import StepResult
from jobs.edge.dynamodb import DynamoPublisher
from jobs.edge.models import ARCHIVED, CHAMPION
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.runner import run_step
from jobs.steps.publish import publish
from jobs.steps.rollback import rollback
from speed.contract import FEATURES
from speed.generations import PIN, Generations
from speed.stores.dynamodb_index import DynamoIndex
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Entry as RealtimeEntry
from speed.stores.records import Score
from tests.nights import IDS, NOW, NewContext, live, night, predicted, rate


def test_publish_serves_what_the_table_says(new_context: NewContext, lake: str) -> None:
    entry = night(new_context, "r1")

    assert entry.counts["published"] == len(IDS)
    assert live(lake) == {
        id_: Score(id_, rate(at, "r1"), None, None, 0.0 if at else None, at) for at, id_ in enumerate(IDS)
    } | {"unknown": None}


@pytest.mark.parametrize(
    ("is_scored", "reason"), [(True, "must be the same number"), (False, r"which forms version 2 .* score anew")]
)
def test_publish_keeps_the_old_generation_live_where_rows_are_missing(
    is_scored: bool, reason: str, new_context: NewContext, lake: str
) -> None:
    night(new_context, "r1")
    before = live(lake)
    tables = Tables(lake)
    short = tables.delta("predictions").to_pyarrow_table().slice(1)
    write_deltalake(tables.path("predictions"), short, mode="overwrite")
    settings = new_context("publish", "r2").settings
    if is_scored:
        result = StepResult(read=[tables.version("forms")], wrote=[tables.version("predictions")])
        run_step(lambda _: result, "score", "r2", settings)

    with pytest.raises(FormcastError, match=reason):
        run_step(publish, "publish", "r2", settings)

    assert live(lake) == before


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_generation_is_never_made_live(damage: str, new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    serving = Serving(Tables(lake))
    file = serving.generations.folder("r1-v1") / "scores.mdb"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data if damage == "flip" else data[: len(data) // 2])

    with pytest.raises(FormcastError, match="publish again"):
        serving.build(1)


def test_old_generations_go_and_the_live_one_stays(new_context: NewContext, lake: str) -> None:
    for run_id in ("r1", "r2", "r3", "r4", "r5"):
        night(new_context, run_id)

    kept = {manifest.run_id for manifest in Serving(Tables(lake)).generations.all()}
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


def test_a_rollback_to_what_the_upkeep_has_deleted_says_so(new_context: NewContext, lake: str) -> None:
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    before = live(lake), predicted(lake)
    Tables(lake).delta("predictions").vacuum(0, dry_run=False, enforce_retention_duration=False)

    with pytest.raises(MissingError, match=r"cannot be read .*older than FORMCAST_RETENTION_DAYS"):
        run_step(partial(rollback, to="r1"), "rollback", "back", new_context("rollback").settings)
    assert (live(lake), predicted(lake)) == before


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


def test_dynamodb_goes_where_serving_goes(
    new_context: NewContext, lake: str, dynamodb_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written there is the matter of test_dynamodb: here nothing is, and no JVM is started."""
    monkeypatch.setattr(DynamoPublisher, "_write", lambda _, spark, manifest, seq, kept: {"items_written": seq})
    new = partial(new_context, dynamodb_table=dynamodb_table)
    table, serving = DynamoIndex(dynamodb_table), Generations(Path(lake) / "serving")

    def names() -> list[str]:
        return [manifest.generation for manifest in table.all()]

    counts = [night(new, run_id).counts["items_written"] for run_id in ("r1", "r2", "r3", "r4", "r5")]
    assert (counts, table.live_name(), names()) == ([1, 2, 3, 4, 5], "r5-v5", ["r5-v5", "r4-v4", "r3-v3"])

    for run_id, held in (("r4", ["r5-v5", "r4-v4", "r3-v3"]), ("r2", ["r2-v2", "r5-v5", "r4-v4", "r3-v3"])):
        run_step(partial(rollback, to=run_id), "rollback", f"back-to-{run_id}", new("rollback").settings)
        assert (table.live_name(), names()) == (serving.live_name(), held)

    context = new("rollback", "fails")
    monkeypatch.setattr(context.serving, "swap", lambda _: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        rollback(context, to="r3")
    assert table.live_name() == serving.live_name() == "r2-v2"

    monkeypatch.setenv("FORMCAST_DYNAMODB_TABLE", dynamodb_table)
    pin("r4-v4", lake)
    assert table.live_name() == serving.live_name() == "r4-v4"
    unpin(lake)
    assert table.live_name() == serving.live_name() == "r2-v2"


def test_a_generation_holds_all_that_answers_need(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")

    with closing(Generations(Path(lake) / "serving").open("r1-v1")) as generation:
        wanted = np.zeros(len(FEATURES))
        wanted[2] = 3.0
        np.testing.assert_array_equal(generation.store.features(IDS[3]), wanted)
        assert generation.store.features("unknown") is None
        assert generation.scorer.score_one(wanted)[0] == pytest.approx(0.2 + 0.01 * 3)
        assert generation.explainer.explain(wanted).contributions[2] == pytest.approx(0.03)
        assert generation.papers["version"] == generation.manifest.model_version == "m-r1"


def test_the_next_publish_drops_what_the_dump_knew_and_nothing_later(new_context: NewContext, lake: str) -> None:
    """The dump knows all until NOW. A form with more views than in the dump is newer, whatever the clock says."""
    context = new_context("prepare", "r1")
    context.tables.append("metrics", [metric("data_until", NOW.timestamp())])
    night(new_context, "r1")
    early, late = NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)
    streamed = {  # of IDS[n], the dump says n views
        IDS[1]: (early, 1, False),
        IDS[2]: (late, 2, True),
        IDS[3]: (early, 4, True),
        IDS[4]: (late, 3, False),
        "new": (late, 0, True),
        "gone": (early, 9, False),
    }
    with closing(LmdbRealtime(context.serving.generations.serving)) as realtime:
        realtime.put(entry(form_id, at, views) for form_id, (at, views, _) in streamed.items())

    # Whoever is held at a generation answers from it, and needs what it did not know, whatever was published since.
    long_ago = {"data_until": NOW - timedelta(days=1), "live": False}
    publish_generation(context.serving.generations.serving, "before", {"x": ([0.0] * 47, 1, 0)}, **long_ago)
    context.serving.generations.point(PIN, "before")
    assert night(new_context, "r2").counts["streamed_dropped"] == 0
    context.serving.generations.unpin()

    published = night(new_context, "r3")

    with closing(LmdbRealtime(context.serving.generations.serving)) as realtime:
        left = set(realtime.get_many(list(streamed)))
    assert left == {form_id for form_id, (*_, stays) in streamed.items() if stays}
    assert published.counts["streamed_dropped"] == 3


def metric(name: str, value: float) -> dict[str, object]:
    return {"run_id": "r1", "name": name, "slice": "", "value": value, "at": NOW - timedelta(hours=1)}


def entry(form_id: str, observed_at: datetime, views: int) -> RealtimeEntry:
    return RealtimeEntry(
        form_id=form_id,
        event_id="e",
        observed_at=observed_at,
        scored_at=observed_at,
        predicted_rate=0.5,
        lower=None,
        upper=None,
        completion_rate=None,
        views=views,
        model_version="m",
        generation="g",
        features=b"",
    )
