"""A run has its lake from its first write to its end, in a folder and in S3 alike."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from jobs.commands import nightly
from jobs.edge.claim import NAME, STEP_LOCK, Claims, FolderClaims, claims_of, wait_for
from jobs.edge.context import StepContext, StepResult
from jobs.edge.lock import only_holder
from jobs.errors import BusyError, FormcastError
from jobs.runner import redo_of, run_step
from jobs.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of runs on an empty lake in a folder; they do not wait for each other."""
    return Settings(lake=str(tmp_path / "lake"), logs=str(tmp_path / "logs"), claim_wait="0")


@pytest.fixture(params=["folder", "s3"])
def claims(request: pytest.FixtureRequest, settings: Settings) -> Claims:
    if request.param == "folder":
        return claims_of(settings)
    request.getfixturevalue("aws")
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    return claims_of(settings.model_copy(update={"lake": "s3://lake/below"}))


def busy(claims: Claims, run_id: str) -> bool:
    try:
        with claims.writing(run_id, "prepare"):
            return False
    except BusyError:
        return True


def test_a_run_has_the_lake_from_its_claim_to_its_release(claims: Claims) -> None:
    claims.take("night")
    for step in ("prepare", "train"):
        with claims.writing("night", step):
            with pytest.raises(BusyError, match=rf"^Run night has had the lake .* \(step {step}\): wait"):
                claims.take("other")
            with pytest.raises(BusyError, match=r"^Another attempt of run night"), claims.writing("night", step):
                pass
            claims.release("night")  # while a step is at work, nothing is given up
        assert busy(claims, "other")
    claims.release("other")  # by a run that does not have it, neither
    assert busy(claims, "other")
    claims.release("night")
    assert not busy(claims, "other")


def test_a_step_that_fails_keeps_the_lake_for_its_run_and_gives_up_what_it_took_itself(claims: Claims) -> None:
    with pytest.raises(ZeroDivisionError), claims.writing("alone", "replay"):
        raise ZeroDivisionError
    assert not busy(claims, "other")
    claims.take("night")
    with pytest.raises(ZeroDivisionError), claims.writing("night", "train"):
        raise ZeroDivisionError
    assert busy(claims, "other")


def test_steps_of_two_runs_do_not_interleave(settings: Settings) -> None:
    """What ended green with half of the forms published: nightly.prepare, score_forms.prepare, nightly.train."""
    done: list[str] = []

    def step(context: StepContext) -> StepResult:
        done.append(f"{context.run_id}.{context.step}")
        return StepResult()

    claims_of(settings).take("nightly")
    run_step(step, "prepare", "nightly", settings)
    with pytest.raises(BusyError, match=r"^Run nightly has had the lake"):
        run_step(step, "prepare", "score_forms", settings)
    run_step(step, "train", "nightly", settings)
    claims_of(settings).release("nightly")
    run_step(step, "prepare", "score_forms", settings)
    assert done == ["nightly.prepare", "nightly.train", "score_forms.prepare"]


def test_a_command_waits_for_the_lake_and_then_goes_on(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """In a process of its own, as a person starts it; this process ends the run that it waits for."""
    claims_of(settings).take("night")
    command = [sys.executable, "-m", "jobs", "maintain", "--lake", settings.lake, "--run-id", "tidy"]
    env = os.environ | {"FORMCAST_CLAIM_WAIT": "5m", "FORMCAST_LOGS": settings.logs}
    child = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        said = child.stderr.readline()
        assert said.startswith("formcast: Run night has had the lake") and "Waiting for 5m at most" in said
        claims_of(settings).release("night")
        _, said = child.communicate(timeout=120)
        assert child.returncode == 0, said
    finally:
        child.kill()


def test_wait_for_gives_up_at_its_limit_and_names_it() -> None:
    told: list[str] = []

    def attempt() -> None:
        raise BusyError("Run night has had the lake.")

    with pytest.raises(BusyError, match=r"^Run night has had the lake. This run has waited for 1 s"):
        wait_for(attempt, 1, told.append)
    assert told == ["Run night has had the lake."]


def test_a_run_that_shows_no_sign_of_life_is_taken_over_and_cannot_write_meanwhile(tmp_path: Path) -> None:
    now = [1000.0]
    claims = FolderClaims(tmp_path, 600, clock=lambda: now[0])
    claims.take("silent")
    now[0] += 599
    assert busy(claims, "next")
    now[0] += 2
    claims.take("next")
    with pytest.raises(BusyError, match=r"^Run next has had the lake"), claims.writing("silent", "train"):
        pass


@pytest.mark.parametrize("dies", ["before a step", "in a step"])
def test_a_killed_night_of_this_machine_lets_go_at_once(tmp_path: Path, dies: str) -> None:
    """What `make run` does: its process holds a lock, and names it in the claim."""
    script = f"""
import sys, time
from pathlib import Path
from jobs.edge.claim import FolderClaims
from jobs.edge.lock import only_holder
lake = Path({str(tmp_path)!r})
claims = FolderClaims(lake, 3600)
with only_holder(lake / ".alive-night", "busy"):
    claims.take("night", ".alive-night")
    if {dies == "in a step"!r}:
        with claims.writing("night", "train"):
            print("held", flush=True); time.sleep(300)
    print("held", flush=True); time.sleep(300)
"""
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        claims = FolderClaims(tmp_path, 3600)
        assert busy(claims, "next")
        child.kill()
        child.wait()
        assert not busy(claims, "next")
    finally:
        child.kill()


def test_a_step_is_done_again_when_it_is_cleared_and_after_a_step_before_it_was(
    new_context: Callable[..., StepContext],
) -> None:
    settings, done = new_context("x").settings, []

    def run(step: str, redo: int = 0) -> bool:
        """Whether it was done."""
        before = len(done)
        run_step(lambda _: done.append(step) or StepResult(), step, "r1", settings.model_copy(update={"redo": redo}))
        return len(done) > before

    assert [run("prepare"), run("train"), run("prepare"), run("train")] == [True, True, False, False]
    assert run("prepare", redo=1)
    assert not run("prepare", redo=1)  # a retry of the cleared task
    assert run("train") and not run("train")
    assert not run("prepare")  # `make run RUN_ID=r1` again
    assert redo_of(settings, "r1", "prepare") == 1


def test_a_failed_step_is_no_done_step(new_context: Callable[..., StepContext]) -> None:
    settings, done = new_context("x").settings, []

    def fails(_: StepContext) -> StepResult:
        raise FormcastError("no")

    with pytest.raises(FormcastError):
        run_step(fails, "prepare", "r1", settings)
    run_step(lambda _: done.append(1) or StepResult(), "prepare", "r1", settings)
    assert done == [1]


def test_a_second_night_of_the_same_name_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path))
    with (
        only_holder(tmp_path / ".alive-night", "busy"),
        pytest.raises(BusyError, match=r"^Run night is under way already"),
        nightly._alive(settings, "night"),
    ):
        pass
    with nightly._alive(settings, "night") as (hold, env):
        assert hold is not None and env == {"FORMCAST_ALIVE": ".alive-night"}
    assert sorted(file.name for file in tmp_path.iterdir()) == []


def test_claims_leave_no_files_but_their_own(tmp_path: Path) -> None:
    claims = FolderClaims(tmp_path, 600)
    claims.take("night")
    with claims.writing("night", "train"):
        time.sleep(0)
    claims.release("night")
    assert {file.name for file in tmp_path.iterdir()} <= {NAME, STEP_LOCK}
