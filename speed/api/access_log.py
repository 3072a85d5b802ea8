"""The access log: a JSON line a request on standard output, written beside the event loop."""

from __future__ import annotations

import os
import threading
from datetime import datetime

import msgspec

PERIOD_SECONDS = 0.2
# A pipe takes so much at once without another worker's lines in between.
CHUNK_BYTES = 4096
# A reader that stalls must not fill the memory: what is over this is dropped, and how much is said.
MAX_WAITING = 50_000


class Line(msgspec.Struct, omit_defaults=True):
    """key: the public part. No body, no query and no header but the request id: a secret may hide there."""

    time: datetime
    request_id: str
    method: str
    path: str
    route: str
    status: int
    ms: float
    bytes: int
    peer: str
    key: str = ""
    problem: str = ""
    dropped: int = 0


class AccessLog:
    """Lines of one worker. `close` writes what waits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._encode = msgspec.json.Encoder().encode
        self._waiting: list[bytes] = []
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return
        line.dropped, self._dropped = self._dropped, 0
        self._waiting.append(self._encode(line))

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._closing.wait(PERIOD_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        chunk = bytearray()
        for line in waiting:
            if len(chunk) + len(line) >= CHUNK_BYTES and chunk:
                self._put(chunk)
                chunk = bytearray()
            chunk += line + b"\n"
        self._put(chunk)

    def _put(self, chunk: bytearray) -> None:
        try:
            left = memoryview(chunk)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:  # nobody reads any more: the requests are still to be answered
            self._dropped += chunk.count(b"\n")
