"""A steady stream of requests, sent when they are due whether or not earlier ones are answered.

A latency is counted from when the request was due: a server that stalls is charged for all who wait meanwhile
(no coordinated omission). What this program itself is late is in it too, and told.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import numpy as np

CONNECTIONS = 16
_PATIENCE_SECONDS = 10
_STATUS, _LENGTH = re.compile(rb"HTTP/1\.1 (\d+)"), re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_GENERATION = re.compile(rb'"generation":"([^"]*)"')

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Steady:
    """latencies_ms: from when a request was due to its whole answer. late_ms: how late it was sent."""

    latencies_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    generations: set[str] = field(default_factory=set)

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.latencies_ms, share))

    @property
    def late_p99_ms(self) -> float:
        return float(np.percentile(self.late_ms, 99))


def request_of(line: str, key: str) -> bytes:
    """The bytes of a request. line: METHOD, path and body, with tabs in between."""
    method, path, body = line.split("\t")
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}\r\n{body}".encode()


async def steady(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, beside: Awaitable[None] | None = None
) -> Steady:
    """Send the requests in turns, `rate` of them a second, while `beside` runs; ends after `seconds`."""
    told = Steady()
    # First in, first out: each has its turn, and none is idle for so long that the server closes it.
    idle: asyncio.Queue[Connection | None] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(None)
    other = asyncio.ensure_future(beside) if beside is not None else None
    under_way = set()
    began = time.perf_counter()
    for at in range(int(rate * seconds)):
        due = began + at / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        task = asyncio.create_task(_one(port, requests[at % len(requests)], due, idle, told))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    while not idle.empty():
        if (connection := idle.get_nowait()) is not None:
            connection[1].close()
    if other is not None:
        await other
    return told


async def _one(port: int, request: bytes, due: float, idle: asyncio.Queue[Connection | None], told: Steady) -> None:
    connection = await idle.get()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", port)
            told.late_ms.append((time.perf_counter() - due) * 1e3)
            status, body = await _answer(connection, request)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        told.failed[type(error).__name__] += 1
        if connection is not None:
            connection[1].close()
        idle.put_nowait(None)
        return
    idle.put_nowait(connection)
    told.latencies_ms.append((time.perf_counter() - due) * 1e3)
    if status != 200:
        told.failed[str(status)] += 1
    elif found := _GENERATION.search(body):
        told.generations.add(found[1].decode())


async def _answer(connection: Connection, request: bytes) -> tuple[int, bytes]:
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or length is None:
        raise ConnectionError(f"This is no answer: {head[:200]!r}")
    return int(status[1]), await reader.readexactly(int(length[1]))
