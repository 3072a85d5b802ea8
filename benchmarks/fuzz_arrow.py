"""Mutated Arrow streams against the API's reader: none may crash it or make it read memory that is not the body's.

    python -m benchmarks.fuzz_arrow --streams 100000 --seed 1

Each body ends where a page without rights begins, so the first byte read past its end ends the process.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa

from speed.api.arrow import VIEWS, read_arrow
from speed.api.problems import ProblemError
from speed.contract import FEATURES

LIMIT = 10_000
_NO_RIGHTS = 0
_ROOM = 1 << 20
_COUNTS = (0, 1, 7, 8, 47, 48, 255, LIMIT, LIMIT + 1, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, -1, -(1 << 63))


class GuardedPage:
    """Memory whose last byte stands before a page that nobody may read."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM + mmap.PAGESIZE)
        end = ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) + _ROOM
        if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, _NO_RIGHTS):
            raise OSError(ctypes.get_errno(), "The guard page cannot be set.")

    def hold(self, body: bytes) -> memoryview:
        """The body at the very end of the memory."""
        start = _ROOM - len(body)
        self._memory[start:_ROOM] = body
        return memoryview(self._memory)[start:_ROOM]


def streams(count: int, seed: int) -> Iterator[bytes]:
    """`count` streams, most of them with one to three mutations of a real one."""
    draw = random.Random(seed)  # noqa: S311  (repeatable, not secret)
    bases = [_stream(rows, kind, views) for rows in (0, 1, 7, 90) for kind in _KINDS for views in (None, *_KINDS)]
    for _ in range(count):
        body = bytearray(draw.choice(bases))
        for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
            draw.choice(_MUTATIONS)(body, draw)
        yield bytes(body[:_ROOM])


_KINDS = (pa.float64(), pa.float32(), pa.int16())


def _stream(rows: int, kind: pa.DataType, views: pa.DataType | None) -> bytes:
    values = [None if row % 5 == 4 else row for row in range(rows)] if views else list(range(rows))
    columns = {name: pa.array(values if at == 3 else range(rows), kind) for at, name in enumerate(FEATURES)}
    if views:
        columns[VIEWS] = pa.array(values, views)
    table = pa.table(columns | {"form_id": pa.array([str(row) for row in range(rows)], pa.string())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    return bytes(sink.getvalue().to_pybytes())


def _flip(body: bytearray, draw: random.Random) -> None:
    if body:
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)


def _put_count(body: bytearray, draw: random.Random) -> None:
    """Metadata of Arrow holds its lengths and offsets as aligned 64-bit numbers."""
    if len(body) >= 8:
        at = draw.randrange(len(body) // 8) * 8
        body[at : at + 8] = draw.choice(_COUNTS).to_bytes(8, "little", signed=True)


def _change_count(body: bytearray, draw: random.Random) -> None:
    """A length that is there already, a little or much larger or smaller, wherever it stands."""
    number = draw.choice((7, 8, 40, 50, 56, 64, 90)).to_bytes(8, "little")
    places = [at for at in range(0, len(body) - 7, 8) if body[at : at + 8] == number]
    if places:
        at = draw.choice(places)
        body[at : at + 8] = draw.choice(_COUNTS).to_bytes(8, "little", signed=True)


def _cut(body: bytearray, draw: random.Random) -> None:
    del body[draw.randrange(len(body) + 1) :]


def _remove(body: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(body) + 1)
    del body[at : at + draw.choice((1, 4, 8, 64, 512))]


def _double(body: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(body) + 1)
    body[at:at] = body[at : at + draw.choice((1, 4, 8, 64, 512, 4096))]


_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _put_count, _put_count, _change_count, _change_count, _cut, _remove, _double),
)


def main() -> None:
    """Read every stream; any error but a problem that is told to the client is a finding."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    page, outcomes = GuardedPage(), Counter[str]()
    for body in streams(asked.streams, asked.seed):
        try:
            features = read_arrow(page.hold(body), LIMIT).features
            outcomes["accepted"] += 1
            outcomes["rows"] += len(features)
        except ProblemError as error:
            outcomes[f"{error.kind.status}"] += 1
    print(f"{asked.streams:,} streams, seed {asked.seed}: {dict(sorted(outcomes.items()))}")


if __name__ == "__main__":
    main()
