"""How many lines files hold, counted in their bytes: whoever parses them must have read as many.

A Spark job of its own. Plain files are counted in ranges, compressed ones whole; no task holds more than a few
megabytes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from jobs.edge.inputs import COMPRESSED, damaged
from jobs.edge.places import filesystem_of
from jobs.errors import ContractError
from jobs.transforms.layout import BOM

RANGE_BYTES = 128 << 20
READ_BYTES = 4 << 20
_OPENING_COST = 1 << 20  # bytes that could be counted while a file is opened: thousands of small ones share a task
_COUNTED = pa.schema([("lines", pa.int64()), ("damaged", pa.string())])
_COUNTED_DDL = "lines bigint, damaged string"
_BROKEN_BZ2 = "Invalid data stream"


@dataclass(frozen=True)
class _Range:
    """Bytes of a file. is_last: they reach to its end. A compressed file is one range."""

    path: str
    start: int
    size: int
    is_last: bool = True


def count_lines(spark: SparkSession, paths: Sequence[str]) -> int:
    """The lines of all files. What stands behind the last line feed of a file is a line, unless it is a lone BOM.

    Raises ContractError if a compressed file is damaged.
    """
    tasks = _tasks([piece for path, size in _sized(paths) for piece in _ranges(path, size)])
    if not tasks:
        return 0
    numbers = spark.range(0, len(tasks), numPartitions=len(tasks))
    counted = numbers.mapInArrow(_counting(tasks), _COUNTED_DDL).toArrow()
    for path in filter(None, counted["damaged"].to_pylist()):
        raise ContractError(damaged(path))
    return sum(counted["lines"].to_pylist())


def _sized(paths: Sequence[str]) -> list[tuple[str, int]]:
    if not paths:
        return []
    system = filesystem_of(paths[0])[0]
    found = system.get_file_info([filesystem_of(path)[1] for path in paths])
    return [(path, info.size) for path, info in zip(paths, found, strict=True)]


def _ranges(path: str, size: int) -> list[_Range]:
    if _is_compressed(path):
        return [_Range(path, 0, size)]
    starts = range(0, size, RANGE_BYTES)
    return [_Range(path, start, min(RANGE_BYTES, size - start), start == starts[-1]) for start in starts]


def _tasks(ranges: Sequence[_Range]) -> list[list[_Range]]:
    """Ranges in groups of about as much work."""
    tasks, cost = list[list[_Range]](), 0
    for each in ranges:
        if not tasks or cost + each.size > RANGE_BYTES:
            tasks.append([])
            cost = 0
        tasks[-1].append(each)
        cost += each.size + _OPENING_COST
    return tasks


def _counting(tasks: Sequence[Sequence[_Range]]) -> Any:
    def count(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in (number for batch in numbers for number in batch["id"].to_pylist()):
            yield pa.RecordBatch.from_pylist([_counted(each) for each in tasks[number]], schema=_COUNTED)

    return count


def _counted(piece: _Range) -> dict[str, Any]:
    """The lines that end in a range. A damaged file is told, not raised: Spark would only try it again."""
    try:
        return {"lines": _count(_chunks(piece), is_first=piece.start == 0, is_last=piece.is_last), "damaged": None}
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return {"lines": 0, "damaged": piece.path}
    except OSError as error:
        if str(error) != _BROKEN_BZ2:
            raise
        return {"lines": 0, "damaged": piece.path}


def _count(chunks: Iterator[bytes], *, is_first: bool, is_last: bool) -> int:
    lines, size, last = 0, 0, b""
    for chunk in chunks:
        lines += chunk.count(b"\n")
        size += len(chunk)
        last = chunk[-len(BOM) :]
    is_open = is_last and size > 0 and not last.endswith(b"\n")
    is_only_bom = is_first and size == len(BOM) and last == BOM  # Spark, too, takes such a file for an empty one
    return lines + (is_open and not is_only_bom)


def _chunks(piece: _Range) -> Iterator[bytes]:
    system, name = filesystem_of(piece.path)
    opener = COMPRESSED.get(Path(name).suffix.lower())
    with system.open_input_file(name) as file:
        if opener is not None:
            with opener(file) as stream:
                while chunk := stream.read(READ_BYTES):
                    yield chunk
            return
        file.seek(piece.start)
        left = piece.size
        while left and (chunk := file.read(min(READ_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _is_compressed(path: str) -> bool:
    return Path(path).suffix.lower() in COMPRESSED
