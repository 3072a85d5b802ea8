"""`make bench-api ROWS=1000000 DURATION=300`: the API as it is served, under load; writes API.md.

Two workers, keys on, an access log into a file; the load is made on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.api_batch import batches
from benchmarks.api_load import Load, check_wrk, get_lines, load, middle, predict_lines
from benchmarks.api_memory import largest, memory_of, peak_rss, watched
from benchmarks.api_report import write_report
from benchmarks.api_results import Flow, Held, Results
from benchmarks.api_server import Server, api, hello
from benchmarks.api_steady import request_of, steady
from benchmarks.api_store import FORM_IDS, VECTORS, make_files, publish
from jobs.settings import ROOT
from speed.api.keys import add_key

BATCH, RATE, SWAPS = 10_000, 250, 5
_ROUNDS, _WARM_SECONDS, _ROUND_SECONDS, _STEADY_SECONDS, _STARTS = 3, 3, 10, 60, 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="forms in the store")
    parser.add_argument("--duration", type=int, default=300, help="seconds of full load while memory is watched")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "formcast-bench")
    asked = parser.parse_args()
    check_wrk()
    busy = os.getloadavg()[0]
    print(f"a store of {asked.rows:,} forms", flush=True)
    files = make_files(asked.work / f"generation-{asked.rows}", asked.rows)
    with _emptied(asked.work / "api") as lake:
        publish(files, lake / "serving", "bench-0")
        key = add_key(lake / "serving" / "keys.json", ["read", "score"], "bench-api")
        command = f"make bench-api ROWS={asked.rows} DURATION={asked.duration}"
        write_report(_measured(command, asked.duration, files, lake, key, busy=busy))


def _measured(command: str, duration: int, files: Path, lake: Path, key: str, *, busy: float) -> Results:
    form_ids, vectors = ((files / name).read_text(encoding="utf-8").splitlines() for name in (FORM_IDS, VECTORS))
    lines = {"get": get_lines(form_ids), "predict": predict_lines(vectors), "hello": ["GET\t/\t"]}
    for name, those in lines.items():
        (lake / name).write_text("\n".join(those), encoding="utf-8")
    some = np.random.default_rng(1).choice(lines["get"], len(vectors), replace=False).tolist()
    pairs = zip(some, lines["predict"], strict=True)
    requests = [request_of(line, key) for pair in pairs for line in pair]

    print("cold starts", flush=True)
    starts = [_cold_start(lake) for _ in range(_STARTS)]
    flows = _full_load(lake, key)
    with api(lake, lake) as server:
        load(server, key, _WARM_SECONDS, lake / "get", lake / "predict")
        print(f"steady {RATE}/s", flush=True)
        calm = asyncio.run(steady(server.port, requests, RATE, _STEADY_SECONDS))
        print(f"steady {RATE}/s while generations are swapped", flush=True)
        swapping = _swaps(files, lake / "serving")
        swapped = asyncio.run(steady(server.port, requests, RATE, _STEADY_SECONDS, swapping))
        at_swaps = peak_rss(server)
        print("batches", flush=True)
        took = batches(server.port, key, vectors[:BATCH])
    return Results(
        command=command,
        busy=busy,
        forms=len(form_ids),
        starts=starts,
        flows=flows,
        calm=calm,
        swapped=swapped,
        at_swaps=at_swaps,
        batches=took,
        held=_held(lake, key, duration),
    )


def _full_load(lake: Path, key: str) -> dict[str, Flow]:
    """By name, in turns, so that a noisy minute hits all; each server only while its turn lasts."""
    rounds: dict[str, list[Load]] = {name: [] for name in ("uvicorn", "starlette", "get", "predict")}
    for turn in range(_ROUNDS):
        print(f"full load, {turn + 1} of {_ROUNDS}", flush=True)
        for name in ("uvicorn", "starlette"):
            with hello(name, lake) as server:
                rounds[name].append(_round(server, lake / "hello", ""))
        with api(lake, lake) as server:
            for name in ("get", "predict"):
                rounds[name].append(_round(server, lake / name, key))
    return {name: Flow(middle(those), [one.requests_per_second for one in those]) for name, those in rounds.items()}


def _round(server: Server, lines: Path, key: str) -> Load:
    load(server, key, _WARM_SECONDS, lines)
    return load(server, key, _ROUND_SECONDS, lines)


async def _swaps(files: Path, serving: Path) -> None:
    """Publish SWAPS generations, spread over the time of the load; only two are kept, as by a night."""
    pause = _STEADY_SECONDS / (SWAPS + 1)
    for number in range(1, SWAPS + 1):
        await asyncio.sleep(pause)
        # Beside this program's clock, and behind the readers: as a night that has the machine for itself, or yields.
        command = ["nice", "-n", "10", sys.executable, "-m", "benchmarks.api_store"]
        publishing = await asyncio.create_subprocess_exec(
            *command, str(files), str(serving), f"bench-{number}", cwd=ROOT
        )
        if await publishing.wait():
            raise SystemExit("A generation was not published.")
        if number > 1:
            await asyncio.to_thread(shutil.rmtree, serving / f"bench-{number - 2}")


def _held(lake: Path, key: str, duration: int) -> Held:
    print(f"full load for {duration} s", flush=True)
    with api(lake, lake) as server:
        before = largest(memory_of(server))
        with watched(server) as seen:
            flow = load(server, key, duration, lake / "get", lake / "predict")
        return Held(duration, before, seen, largest(memory_of(server)), flow)


def _cold_start(lake: Path) -> float:
    """Seconds to ready, with no page of the store's files in memory."""
    for file in (lake / "serving").glob("*/*"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())  # a page that is not on the disk yet would stay
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with api(lake, lake) as server:
        return server.started_in


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """An empty folder, gone at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "serving").mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
