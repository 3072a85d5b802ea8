"""A task is lost after it has written its file, and done again: nothing is there twice, and nothing is missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dumps import NewContext, dump, forms, ingest, line, orphans, rows
from generations import many_forms, publish_generation, small_model
from streams import caught_up, drop, rejected
from streams import line as event

from jobs.edge import forms as forms_module
from jobs.edge import ingest as ingest_module
from jobs.edge import scoring
from jobs.edge.ledger import Entry
from jobs.edge.models import ModelVersion
from jobs.runner import run_step
from jobs.steps.replay import replay
from jobs.steps.score import score
from jobs.stream import batch
from speed.scorer import MODEL_FILE

pytestmark = pytest.mark.usefixtures("spark")
Lose = Callable[[Any, str], None]


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """`lose(module, factory)`: each task that the factory makes does all its work, and is lost the first time."""

    def patch(module: Any, factory: str) -> None:
        make = getattr(module, factory)

        def made(*args: Any) -> Any:
            task = make(*args)

            def lost_at_first(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
                from pyspark import TaskContext

                yield from task(batches)
                if TaskContext.get().attemptNumber() == 0:
                    raise RuntimeError("the node is gone")

            return lost_at_first

        monkeypatch.setattr(module, factory, made)

    return patch


@pytest.fixture
def lossy(lose: Lose) -> None:
    """All tasks of an ingest are lost once."""
    lose(ingest_module, "_writing")
    lose(ingest_module, "_settling")
    lose(forms_module, "_settling_fates")


def assert_balanced(entry: Entry) -> None:
    counts = entry.counts
    assert counts["read"] == counts["accepted"] + counts["rejected"] + counts["duplicates"]
    assert counts["forms"] == counts["forms_rows"]


@pytest.mark.usefixtures("lossy")
def test_a_full_ingest_commits_what_the_last_attempts_wrote(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    lines = [*(line(i, 1, 5) for i in range(40)), line("a", 1, 5), line("a", 2, 6), "hopeless"]

    entry = ingest(new_context, dump(tmp_path / "dump.csv", *lines))

    assert len(forms(lake)) == 41 and forms(lake)["a"] == (6, 2, 1.0)
    assert (entry.counts["accepted"], entry.counts["rejected"], entry.counts["duplicates"]) == (41, 1, 1)
    assert [row["line"] for row in rows(lake, "rejected_forms")] == [line("a", 1, 5), "hopeless"]
    assert_balanced(entry)
    assert len(orphans(lake, "forms")) == 2  # of the clean lines, and of those that had to be settled
    assert len(orphans(lake, "rejected_forms")) == 2


def test_an_increment_merges_what_the_last_attempts_wrote(
    new_context: NewContext, lake: str, tmp_path: Path, lose: Lose
) -> None:
    ingest(new_context, dump(tmp_path / "full.csv", line("old", 1, 10), line("grows", 1, 10), line("stale", 5, 50)))
    for factory in ("_writing", "_settling"):
        lose(ingest_module, factory)
    lose(forms_module, "_settling_fates")
    change = [
        line("grows", 2, 20, 7.0),
        line("stale", 1, 5),
        line("new", 0, 0),
        line("twice", 0, 1),
        line("twice", 0, 2),
    ]

    entry = ingest(new_context, dump(tmp_path / "change.csv", *change), "r2", mode="increment")

    assert forms(lake) == {
        "old": (10, 1, 1.0),
        "grows": (20, 2, 7.0),
        "stale": (50, 5, 1.0),
        "new": (0, 0, 1.0),
        "twice": (2, 0, 1.0),
    }
    assert_balanced(entry)
    assert {name: entry.counts[name] for name in ("accepted", "duplicates", "inserted", "updated")} == {
        "accepted": 3, "duplicates": 2, "inserted": 2, "updated": 1
    }  # fmt: skip
    assert [row["line"] for row in rows(lake, "rejected_forms")] == [line("stale", 1, 5), line("twice", 0, 1)]


def test_a_replay_merges_what_the_last_attempts_wrote(
    new_context: NewContext, lake: str, tmp_path: Path, lose: Lose
) -> None:
    good = [line(i, 1, 5) for i in range(40)]
    ingest(new_context, dump(tmp_path / "dump.csv", *good, line("swapped", 9, 2)))
    for module, factory in ((ingest_module, "_writing"), (forms_module, "_settling_fates")):
        lose(module, factory)
    context = new_context("replay", "r2", columns="form_id,views,submissions,features")

    entry = run_step(replay, "replay", "r2", context.settings)

    assert len(forms(lake)) == 41 and forms(lake)["swapped"] == (9, 2, 1.0)
    assert (entry.counts["accepted"], entry.counts["forms"]) == (1, 41)
    assert [row["replayed_by"] for row in rows(lake, "rejected_forms")] == ["r2"]


def test_scores_are_those_of_the_last_attempts(
    new_context: NewContext, lake: str, tmp_path: Path, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(new_context, dump(tmp_path / "dump.csv", *(line(i, 1, 5) for i in range(40))))
    context = new_context("score")
    facts = {"params": {}, "metrics": {"mae": 0.1}, "data_version": 0, "artifact_uri": "", "artifact_sha256": ""}
    model = ModelVersion("m", "r1", "linear", **facts, state="candidate", reason="", created_at=datetime.now(UTC))
    context.models.save([model])
    context.models.promote("m", "better")
    monkeypatch.setattr("jobs.edge.models.Models.verified_folder", lambda _self, _model: Path())
    monkeypatch.setattr("jobs.steps.score.read_portable", lambda _folder: small_model("m")[MODEL_FILE])
    lose(scoring, "_scoring")

    score(context)

    assert [row["form_id"] for row in rows(lake, "predictions")] == sorted(str(i) for i in range(40))
    assert orphans(lake, "predictions")


def test_a_batch_of_the_stream_refuses_once(spark: Any, lake: str, tmp_path: Path, lose: Lose) -> None:
    publish_generation(Path(lake) / "serving", "g1", many_forms(5))
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    drop(inbox, "1", event("a", 3), "poison")
    lose(batch, "_handling")

    assert [counts[:2] for counts in caught_up(spark, lake, "folder", inbox)] == [(1, 1)]
    assert [row[0] for row in rejected(lake)] == ["poison"]
    assert len(orphans(lake, "rejected_forms")) == 1


def test_a_killed_python_worker_does_not_end_a_step(
    new_context: NewContext, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ingest_module._writing

    def made(*args: Any) -> Any:
        task = make(*args)

        def killed_at_first(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            from pyspark import TaskContext

            if TaskContext.get().attemptNumber() == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield from task(batches)

        return killed_at_first

    monkeypatch.setattr(ingest_module, "_writing", made)
    ingest(new_context, dump(tmp_path / "dump.csv", line("a", 1, 5)))
    assert forms(lake) == {"a": (5, 1, 1.0)}
