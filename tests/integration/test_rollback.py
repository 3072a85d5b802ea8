"""rollback that is killed: `formcast runs` says so until it is finished, or until a later night is live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.commands.runs import runs
from jobs.edge.models import Models
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.runner import run_step
from jobs.steps.publish import publish
from jobs.steps.rollback import rollback
from tests.nights import IDS, NewContext, live, night, predicted, rate

ADVICE = "run `formcast rollback --to r1` again"
POINTS = {
    "build": (Serving, "build"),
    "begin": (Serving, "begin_rollback"),
    "restore": (DeltaTable, "restore"),
    "promote": (Models, "promote"),
    "swap": (Serving, "swap"),
    "end": (Serving, "end_rollback"),
}


class Killed(BaseException):
    """Nothing catches it, as nothing outlives a kill."""


@contextmanager
def killed(point: str, when: str) -> Iterator[None]:
    """Whoever calls a function is killed before it begins or after it has ended."""
    owner, name = POINTS[point]
    function: Callable[..., object] = getattr(owner, name)

    def dies(*args: object, **kwargs: object) -> None:
        if when == "after":
            function(*args, **kwargs)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, dies)
        yield


@pytest.fixture
def advice(lake: str, capsys: pytest.CaptureFixture[str]) -> Callable[[], bool]:
    """Whether `formcast runs` says that the rollback must be run again."""

    def said() -> bool:
        capsys.readouterr()
        runs(lake)
        return ADVICE in capsys.readouterr().out

    return said


def back(new: NewContext, to: str, run_id: str) -> None:
    run_step(partial(rollback, to=to), "rollback", run_id, new("rollback").settings)


def rates(run_id: str) -> dict[str, float]:
    return {id_: rate(at, run_id) for at, id_ in enumerate(IDS)}


def served(lake: str) -> dict[str, float]:
    return {id_: score.predicted_rate for id_, score in live(lake).items() if score}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rollback_is_finished_by_the_next_one_or_forgotten_by_the_next_night(
    point: str, when: str, new_context: NewContext, lake: str, advice: Callable[[], bool]
) -> None:
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    with killed(point, when):
        back(new_context, "r1", "first")
    is_begun = (point, when) not in {("build", "before"), ("build", "after"), ("begin", "before"), ("end", "after")}
    assert advice() == is_begun

    night(new_context, "r3")
    assert not advice()
    assert not Path(lake, "serving", "ROLLBACK").exists()
    assert served(lake) == predicted(lake) == rates("r3")

    with killed(point, when):
        back(new_context, "r1", "second")
    assert advice() == is_begun
    back(new_context, "r1", "third")
    assert not advice()
    assert served(lake) == predicted(lake) == rates("r1")
    assert new_context("x").models.champion().version == "m-r1"


def test_a_publish_killed_after_its_swap_does_not_bring_the_advice_back(
    new_context: NewContext, advice: Callable[[], bool]
) -> None:
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    with killed("swap", "before"):
        night(new_context, "r3")  # its generation stands already, and is older than the rollback
    with killed("swap", "before"):
        back(new_context, "r1", "first")
    assert advice()

    with killed("swap", "after"):
        night(new_context, "r3")
    assert not advice()


def test_a_publish_done_again_does_not_finish_what_the_table_has_half_done(
    new_context: NewContext, lake: str, advice: Callable[[], bool]
) -> None:
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    with killed("restore", "after"):
        back(new_context, "r1", "first")

    run_step(publish, "publish", "r2", new_context("publish", redo=1).settings)
    assert (served(lake), predicted(lake)) == (rates("r2"), rates("r1"))
    assert advice()


def test_the_intent_of_an_earlier_version_is_read(
    new_context: NewContext, lake: str, advice: Callable[[], bool]
) -> None:
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    intent = Path(lake, "serving", "ROLLBACK")
    intent.write_text("r1")
    assert advice()

    with killed("end", "before"):
        night(new_context, "r3")
    assert intent.exists()
    assert not advice()

    intent.write_text("2026")  # JSON too, as it happens
    os.utime(intent, (0, 0))
    assert Serving(Tables(lake)).unfinished_rollback() is None
    os.utime(intent, None)
    unfinished = Serving(Tables(lake)).unfinished_rollback()
    assert unfinished is not None
    assert unfinished.run_id == "2026"


@pytest.mark.parametrize("point", ["begin", "restore", "promote", "swap", "end"])
def test_a_rollback_that_fails_after_a_killed_one_leaves_the_advice(
    point: str, new_context: NewContext, lake: str, advice: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("r1", "r2", "r3"):
        night(new_context, run_id)
    with killed(point, "before" if point == "end" else "after"):
        back(new_context, "r1", "first")
    before = served(lake), predicted(lake), new_context("x").models.champion().version

    with monkeypatch.context() as patch, pytest.raises(FormcastError, match="disk"):
        patch.setattr(Serving, "swap", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        back(new_context, "r2", "second")
    assert (served(lake), predicted(lake), new_context("x").models.champion().version) == before
    assert advice()

    back(new_context, "r1", "third")
    assert not advice()
    assert served(lake) == predicted(lake) == rates("r1")


def test_no_way_back_leads_to_a_model_whose_files_are_gone(new_context: NewContext, lake: str) -> None:
    """Though its generation stands: the next night would have no champion to score with."""
    for run_id in ("r1", "r2"):
        night(new_context, run_id)
    new_context("x").models.files.delete("models/m-r1")

    with pytest.raises(MissingError, match=r"to run r1: the files of its model m-r1 are gone from .*a later run\.$"):
        back(new_context, "r1", "first")
    assert served(lake) == predicted(lake) == rates("r2")
