"""Brings the checkout up to date: what is there and unchanged is left alone, the rest is made in parallel."""

from __future__ import annotations

import argparse
import errno
import fcntl
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from bootstrap.checks import SetupError, check_python, check_room, find_java
from bootstrap.stages import ROOT, Stage, stages

NOT_THERE = 4
INTERRUPTED = 130


def main() -> int:
    """Exit code 0, or 4 with one sentence on standard error."""
    known = stages()
    parser = argparse.ArgumentParser(prog="bootstrap", description="Set this checkout up; a second run does nothing.")
    names = [stage.name for stage in known]
    parser.add_argument("--only", nargs="+", choices=names, help="these stages, and what they need")
    parser.add_argument("--also", nargs="+", choices=names, default=[], help="these stages, too")
    asked = parser.parse_args()
    usual = [stage.name for stage in known if not stage.on_demand]
    wanted = _with_needs(known, (asked.only or usual) + asked.also)
    try:
        find_java()
        if not all(stage.is_done() for stage in wanted):
            _set_up(wanted)
    except SetupError as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _fail(f"Set-up failed: {error}.")
        return _fail("Set-up failed: the disk is full: make room and run the same command again.")
    except KeyboardInterrupt:
        print("\nformcast: set-up was interrupted; the same command goes on with it.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _with_needs(known: list[Stage], names: list[str]) -> list[Stage]:
    needs = {stage.name: stage.needs for stage in known}
    chosen = set(names) | {need for name in names if (need := needs[name])}
    return [stage for stage in known if stage.name in chosen]


def _set_up(wanted: list[Stage]) -> None:
    (ROOT / ".setup").mkdir(exist_ok=True)
    with (ROOT / ".setup" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this checkout is running; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        todo = _not_done(wanted)
        if not todo:
            return
        check_python()
        check_room(ROOT, sum(stage.gigabytes for stage in todo))
        print("Setting up: " + "; ".join(stage.title for stage in todo), flush=True)
        started = time.monotonic()
        _build(todo)
        print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def _not_done(wanted: list[Stage]) -> list[Stage]:
    """Those to make; with one that may start its folder anew also the others that live in it."""
    todo: list[Stage] = []
    for stage in wanted:
        if not stage.is_done() or any((t.name, t.folder) == (stage.needs, stage.folder) for t in todo):
            todo.append(stage)
    return todo


def _build(todo: list[Stage]) -> None:
    """Run each stage as soon as what it needs is done; after a failure nothing new is begun."""
    waiting, done = list(todo), set[str]()
    running: dict[Future[float], Stage] = {}
    missing = {stage.name for stage in todo}
    with ThreadPoolExecutor(max_workers=2) as pool:
        while waiting or running:
            for stage in [s for s in waiting if s.needs not in missing - done]:
                waiting.remove(stage)
                running[pool.submit(_timed, stage)] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                seconds = future.result()
                done.add(stage.name)
                print(f"  {stage.title}: {seconds:.0f} s", flush=True)


def _timed(stage: Stage) -> float:
    started = time.monotonic()
    stage.run()
    return time.monotonic() - started


def _fail(sentence: str) -> int:
    print(f"formcast: {sentence}", file=sys.stderr)
    return NOT_THERE
