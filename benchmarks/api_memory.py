"""The memory of each worker over time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.api_server import Server

LOOK_SECONDS = 2.0
_OWN, _PEAK = "RssAnon", "VmHWM"


class Memory(NamedTuple):
    """Of one worker, in MB. rss: all that it has in RAM, the pages of the store's files that it touched included.

    pss: the same with shared pages shared out. own: without any page of a file: what could leak.
    """

    rss: float
    pss: float
    own: float


class Seen(NamedTuple):
    """seconds: since the start of the watch. workers: in the order of their ids."""

    seconds: float
    workers: list[Memory]


def memory_of(server: Server) -> list[Memory]:
    return [_memory(worker) for worker in server.workers()]


def peak_rss(server: Server) -> float:
    """MB: the most that any worker ever had, as the system notes it: to look on would slow down who works."""
    return max(_status(worker, _PEAK) for worker in server.workers())


@contextmanager
def watched(server: Server) -> Iterator[list[Seen]]:
    """What was seen while the block ran; the list grows as it is looked at."""
    seen: list[Seen] = []
    ended = threading.Event()
    began = time.perf_counter()

    def watch() -> None:
        while not ended.is_set():
            seen.append(Seen(time.perf_counter() - began, memory_of(server)))
            ended.wait(LOOK_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def largest(memories: list[Memory]) -> Memory:
    """The most of each figure that any worker had."""
    return Memory(*(max(values) for values in zip(*memories, strict=True)))


def _memory(worker: psutil.Process) -> Memory:
    full = worker.memory_full_info()
    return Memory(full.rss / 1e6, full.pss / 1e6, _status(worker, _OWN))


def _status(worker: psutil.Process, name: str) -> float:
    """MB of that name in the status of a process (Linux)."""
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
