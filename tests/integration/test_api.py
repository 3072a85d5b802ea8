"""The real server under load: it counts and logs every request, and a reload replaces all its workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import key_header, small_lake

CLIENTS = 4


class Server:
    """`formcast serve` with two workers on a port of its own choice."""

    def __init__(self, lake: Path, log: Path) -> None:
        self.header = key_header(lake)
        arguments = ["serve", "--lake", str(lake), "--port", "0", "--workers", "2"]
        environment = os.environ | {"FORMCAST_WATCH_SECONDS": "0.1"}
        with log.open("wb") as err, log.with_suffix(".access").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs", *arguments], stdout=out, stderr=err, env=environment
            )
        self.log, self.serving = log, lake / "serving"
        self.url = until(lambda: re.search(r"Formcast is at (http://127\.0\.0\.1:\d+)", self.log.read_text()))[1]
        until(lambda: len(self.workers()) == 2 and self.log.read_text().count("startup complete") == 2)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.header, timeout=60, trust_env=False)

    def workers(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    server = Server(small_lake(folder / "lake"), folder / "log")
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@contextmanager
def load(server: Server) -> Iterator[Counter[str]]:
    """Several clients ask for a form all the time; the answers are counted as good, by status, or by their error."""
    seen: Counter[str] = Counter()
    done = threading.Event()

    def run() -> None:
        with server.client() as client:
            while not done.is_set():
                try:
                    answer = client.get("/v1/forms/a")
                    outcome = "good" if answer.json().get("form_id") == "a" else f"status {answer.status_code}"
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                seen[outcome] += 1

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_every_request_is_counted_and_logged_and_a_reload_replaces_all_workers(server: Server) -> None:
    """What a swap, a kill or a revoked key does to those who ask: see test_soak.py."""
    with load(server) as seen:
        until(grown(seen))
    assert set(seen) == {"good"}
    with server.client() as client:
        assert _requests(client.get("/metrics").text) == seen["good"]
    access = server.log.with_suffix(".access")
    until(lambda: len(access.read_text().splitlines()) == seen["good"] + 1)
    assert server.header["Authorization"].rpartition("_")[2] not in access.read_text()

    first = server.workers()
    with load(server) as seen:
        until(grown(seen))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.workers()) == 2 and not set(first) & set(server.workers()))
        until(grown(seen))
    # A connection at rest may close as it is used.
    assert set(seen) - {"good"} <= {"ReadError", "RemoteProtocolError", "WriteError", "ConnectError"}
    assert sum(seen.values()) - seen["good"] <= 2 * CLIENTS
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def grown(seen: Counter[str]) -> Callable[[], bool]:
    before = seen["good"]
    return lambda: seen["good"] > before + 200


def _requests(exposition: str) -> float:
    """How many requests of forms were counted, by all workers."""
    lines = [line.rpartition(" ") for line in exposition.splitlines() if line.startswith("formcast_requests_total{")]
    return sum(float(value) for name, _, value in lines if "/v1/" in name)


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
