"""As many requests as are answered: wrk, and the lines that it draws from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.api_server import Server

CONNECTIONS, THREADS = 32, 1
_SCRIPT = Path(__file__).with_name("wrk") / "random_lines.lua"
_GET_WRK = (
    "wrk is not there, which makes the load: install it (Debian, Ubuntu: apt-get install wrk; macOS: brew install "
    "wrk; else from https://github.com/wg/wrk)."
)


@dataclass(frozen=True)
class Load:
    """Of a closed loop: the next request of a connection is sent when the last one is answered.

    cpu_us: microseconds of CPU that the workers took a request: what a busy neighbour disturbs least.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failed: int


def check_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit(_GET_WRK)


def load(server: Server, key: str, seconds: float, *lines: Path) -> Load:
    """The lines of these files, drawn at random, over CONNECTIONS connections. key: empty for none."""
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", str(_SCRIPT), f"http://127.0.0.1:{server.port}"]
    environment = os.environ | {"BENCH_LINES": ":".join(map(str, lines)), "BENCH_KEY": key}
    before = server.cpu_seconds()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"wrk failed: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    requests = said["requests"]
    cpu_us = (server.cpu_seconds() - before) / requests * 1e6
    return Load(requests / said["seconds"], said["p50_ms"], said["p99_ms"], cpu_us, said["failed"])


def middle(rounds: list[Load]) -> Load:
    """Medians of the rounds; all that failed."""
    rates, p50s, p99s, cpus, failed = zip(*map(astuple, rounds), strict=True)
    return Load(median(rates), median(p50s), median(p99s), median(cpus), sum(failed))


def get_lines(form_ids: Iterable[str]) -> list[str]:
    return [f"GET\t/v1/forms/{form_id}\t" for form_id in form_ids]


def predict_lines(vectors: Iterable[str]) -> list[str]:
    return [f"POST\t/v1/predict\t{body_of(vector)}" for vector in vectors]


def body_of(vector: str) -> str:
    return msgspec.json.encode({"features": vector, "views": 120}).decode()
