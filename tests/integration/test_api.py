"""The real server under load: a swap drops and mixes nothing, a killed worker is replaced, as all are by a reload."""

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

from speed.generations import PIN, Generations
from tests.api import FORMS, key_header, small_lake, vector
from tests.generations import publish_generation

CLIENTS = 4
SLOPES = {"g1": 0.01, "g2": 0.011, "g3": 0.012, "g4": 0.013}


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
        return httpx.Client(base_url=self.url, headers=self.header, timeout=10, trust_env=False)

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
def load(server: Server, ask: Callable[[httpx.Client], str]) -> Iterator[Counter[str]]:
    """Several clients ask all the time; the answers are counted by what `ask` makes of them, or by their error."""
    seen: Counter[str] = Counter()
    done = threading.Event()

    def run() -> None:
        with server.client() as client:
            while not done.is_set():
                try:
                    outcome = ask(client)
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


def test_swaps_under_load_drop_and_mix_nothing(server: Server) -> None:
    sums = {"a": sum(vector(2)), "live": sum(vector(4))}

    def ask(client: httpx.Client) -> str:
        form = client.get("/v1/forms/a")
        live = client.post("/v1/predict", json={"features": vector(4)})
        for name, answer in (("a", form), ("live", live)):
            if answer.status_code != 200:
                return f"status {answer.status_code}"
            found = answer.json()
            expected = 0.2 + SLOPES[found["generation"]] * sums[name]
            if abs(found["rate"] - expected) > 1e-9 or found["model_version"] != f"m-{found['generation']}":
                return f"mixed: {found}"
        return found["generation"]

    with load(server, ask) as seen:
        for name in ("g2", "g3", "g4"):
            publish_generation(server.serving, name, FORMS, slope=SLOPES[name])
            until(lambda name=name: seen[name] > 50)
        Generations(server.serving).point(PIN, "g1")
        before = seen["g1"]
        until(lambda: seen["g1"] > before + 50)

    assert set(seen) == set(SLOPES)
    with server.client() as client:
        counted = sum(_requests(client.get("/metrics").text).values())
        assert counted == 2 * sum(seen.values())
    access = server.log.with_suffix(".access")
    until(lambda: len(access.read_text().splitlines()) == counted + 1)
    assert server.header["Authorization"].rpartition("_")[2] not in access.read_text()


def test_a_killed_worker_is_replaced_and_a_reload_replaces_all(server: Server) -> None:
    def ask(client: httpx.Client) -> str:
        answer = client.get("/v1/forms/a")
        return "good" if answer.json().get("form_id") == "a" else f"status {answer.status_code}"

    def grown(seen: Counter[str]) -> Callable[[], bool]:
        before = seen["good"]
        return lambda: seen["good"] > before + 200

    with load(server, ask) as seen:
        until(grown(seen))
        first = server.workers()
        os.kill(first[0], signal.SIGKILL)
        until(grown(seen))  # the other one answers meanwhile
        until(lambda: len(server.workers()) == 2 and first[0] not in server.workers())
        lost = sum(seen.values()) - seen["good"]
        second = server.workers()
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.workers()) == 2 and not set(second) & set(server.workers()))
        until(grown(seen))
        lost_in_reload = sum(seen.values()) - seen["good"] - lost

    # A client loses at most what it had sent to the killed worker; a connection at rest may close as it is used.
    assert set(seen) - {"good"} <= {"ReadError", "RemoteProtocolError", "WriteError", "ConnectError"}
    assert lost <= CLIENTS
    assert lost_in_reload <= 2 * CLIENTS
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def _requests(exposition: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in exposition.splitlines() if line.startswith("formcast_requests_total{")]
    return {name: float(value) for name, _, value in lines if "/v1/" in name}


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
