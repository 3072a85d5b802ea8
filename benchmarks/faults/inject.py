"""The faults: each does a step while something goes wrong at a moment of its own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.scenario import Op
from jobs.settings import ROOT

LIMIT_SECONDS = 420
FAKETIME = shutil.which("faketime")


@dataclass(frozen=True)
class Trial:
    """A step on a copy of the twin's lake. seconds: how long the step took when nobody disturbed it."""

    op: Op
    lake: str
    folder: Path
    seconds: float
    draw: random.Random

    def start(self, *, again: bool = False, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        with log:
            return subprocess.Popen(
                [*before, *self.op.command(self.lake, again)],
                cwd=ROOT,
                env=self.op.environment(self.folder / "logs") | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *, again: bool = False, before: tuple[str, ...] = (), **env: str) -> int:
        return ended(self.start(again=again, before=before, **env))

    def pause(self) -> None:
        """Until a moment at random of the step."""
        time.sleep(self.draw.uniform(0, 1.05) * self.seconds)


def ended(child: subprocess.Popen[bytes]) -> int:
    """The exit code of a step; one that hangs is ended, which counts as no fault of the one that was injected."""
    try:
        return child.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        kill(child)
        raise AssertionError(f"a step hung for {LIMIT_SECONDS} s") from None


def kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def killed(trial: Trial) -> None:
    """SIGKILL to the step and all its processes, once or twice in a row."""
    for _ in range(trial.draw.choice((1, 1, 2))):
        child = trial.start()
        trial.pause()
        kill(child)


def without_jvm(trial: Trial) -> None:
    _kill_one_of(trial, b"java")


def without_a_worker(trial: Trial) -> None:
    _kill_one_of(trial, b"pyspark.daemon")


def _kill_one_of(trial: Trial, name: bytes) -> None:
    """SIGKILL to one process of the step's that has `name` in its command; the step goes on or fails."""
    child = trial.start()
    trial.pause()
    mine = [pid for pid, words in _group(child.pid) if name in words]
    if mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(trial.draw.choice(mine), signal.SIGKILL)
    ended(child)


def _group(leader: int) -> list[tuple[int, bytes]]:
    """Processes of a group, with their command lines."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(place.name)) == leader:
                found.append((int(place.name), (place / "cmdline").read_bytes()))
    return found


def twice(trial: Trial) -> None:
    """The same step at once in two processes, as when a task's end was not heard of."""
    first = trial.start()
    time.sleep(trial.draw.uniform(0, 0.3) * trial.seconds)
    second = trial.start(FORMCAST_CLAIM_WAIT=trial.draw.choice(("0", "3m")))
    ended(first)
    ended(second)


def repeated(trial: Trial) -> None:
    """Its result is delivered twice: the step is called again after it has succeeded."""
    trial.run()
    trial.run()


def at_another_time(trial: Trial) -> None:
    """A clock that is days off, ahead or behind, for this one attempt."""
    if FAKETIME is None:
        raise AssertionError("install faketime: the clock cannot be moved without it")
    child = trial.start(before=(FAKETIME, "-f", trial.draw.choice(("+3d", "-2d"))), FAKETIME_DONT_FAKE_MONOTONIC="1")
    if trial.draw.random() < 0.5:
        trial.pause()
        kill(child)
    ended(child)


def on_a_full_disk(trial: Trial) -> None:
    """The lake's disk is full from a moment of the step on; afterwards there is room again."""
    child = trial.start()
    trial.pause()
    filler = Path(trial.lake) / ".filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * (1 << 20))
    ended(child)
    filler.unlink(missing_ok=True)


Fault = Callable[[Trial], None]
ANYWHERE: tuple[Fault, ...] = (killed, killed, killed, twice, repeated)
IN_A_FOLDER: tuple[Fault, ...] = (*ANYWHERE, on_a_full_disk, at_another_time)
WITH_A_JVM: tuple[Fault, ...] = (without_jvm, without_a_worker)
