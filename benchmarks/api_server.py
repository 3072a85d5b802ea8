"""Servers under test: started as a user would, with their logs in files, and stopped again."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobs.settings import ROOT

WORKERS = 2
_START_SECONDS, _STOP_SECONDS = 60, 30


@dataclass(frozen=True)
class Server:
    """started_in: seconds from the start of the process to its first good answer."""

    port: int
    process: subprocess.Popen[bytes]
    started_in: float

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, in the order of their ids."""
        children = psutil.Process(self.process.pid).children()
        return sorted((one for one in children if "spawn_main" in " ".join(one.cmdline())), key=lambda one: one.pid)

    def cpu_seconds(self) -> float:
        """That the workers have taken since they started."""
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers())


@contextmanager
def api(lake: Path, logs: Path) -> Iterator[Server]:
    """The API, with keys and an access log, over what is published in `lake`."""
    port = _free_port()
    command = [sys.executable, "-m", "jobs", "serve", "--lake", str(lake), "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FORMCAST_")}
    with _running([*command, "--workers", str(WORKERS)], port, "/readyz", logs, clean) as server:
        yield server


@contextmanager
def hello(name: str, logs: Path) -> Iterator[Server]:
    """One of benchmarks.api_hello, by uvicorn at the API's settings and without any log."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.api_hello:{name}", "--port", str(port)]
    command += ["--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools"]
    with _running([*command, "--no-access-log", "--no-server-header"], port, "/", logs, os.environ) as server:
        yield server


@contextmanager
def _running(
    command: list[str], port: int, path: str, logs: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    began = time.perf_counter()
    with (logs / "access.log").open("wb") as out, (logs / "server.log").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=out, stderr=errors)
    try:
        _wait(process, port, path, logs)
        yield Server(port, process, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, path: str, logs: Path) -> None:
    """Until the path is answered with 200. Raises SystemExit where it is not, with the end of the log."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError):
            connection.request("GET", path)
            if connection.getresponse().status == http.HTTPStatus.OK:
                connection.close()
                return
        connection.close()
        time.sleep(0.01)
    raise SystemExit(f"The server does not answer {path}:\n{(logs / 'server.log').read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
