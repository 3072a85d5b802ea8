"""Predictions as one file, Parquet or CSV, here or in S3: it appears whole, or what stood there stays."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import fs

from jobs.edge.export_source import Advance, Predictions, csv_bytes
from jobs.edge.files import scratch
from jobs.edge.places import filesystem_of, in_s3
from jobs.errors import FormcastError, UsageError
from jobs.schemas import PREDICTIONS

_GZIP_LEVEL = 5  # beyond it, gzip takes twice the time for a hundredth of the size


def write_file(predictions: Predictions, to: str, advance: Advance) -> str:
    """Write predictions to a path or an `s3://` address; answers where they are.

    Raises UsageError for an ending that is none of WRITERS, FormcastError where the file cannot be written.
    """
    write = writer_of(to)
    try:
        with _appearing(to) as part:
            write(part, predictions, advance)
    except OSError as error:
        raise FormcastError(f"{to} cannot be written: {error}.") from None
    return to if in_s3(to) else str(Path(to).absolute())


def writer_of(to: str) -> Callable[[Path, Predictions, Advance], None]:
    """How a file of that name is written. Raises UsageError, which does not say what may hold a password."""
    name = "" if "://" in to and not in_s3(to) else to.rpartition("/")[2]
    for ending, write in WRITERS.items():
        if name.endswith(ending) and name != ending:
            return write
    endings = ", ".join(WRITERS)
    raise UsageError(
        f"--to must be a file (here or at s3://) that ends in {endings}, or a database, postgres://user@host/database."
    )


@contextmanager
def _appearing(to: str) -> Iterator[Path]:
    """A file to write, which is put in its place when that went well, and deleted when not."""
    if in_s3(to):
        part = Path(tempfile.mkdtemp(dir=scratch())) / "part"
    else:
        target = Path(to).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield part
        if in_s3(to):
            system, path = filesystem_of(to)
            fs.copy_files(str(part), path, fs.LocalFileSystem(), system)
        else:
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_parquet(part: Path, predictions: Predictions, advance: Advance) -> None:
    told = {"formcast": str(predictions)}
    with pq.ParquetWriter(part, PREDICTIONS.with_metadata(told), compression="zstd") as writer:
        for batch in predictions.batches(advance):
            writer.write_batch(batch)


def _write_csv(part: Path, predictions: Predictions, advance: Advance) -> None:
    with part.open("wb") as file:
        _write_lines(file.write, predictions, advance)


def _write_csv_gz(part: Path, predictions: Predictions, advance: Advance) -> None:
    with gzip.open(part, "wb", _GZIP_LEVEL) as file:
        _write_lines(file.write, predictions, advance)


def _write_lines(write: Callable[[memoryview], object], predictions: Predictions, advance: Advance) -> None:
    write(memoryview(",".join(PREDICTIONS.names).encode() + b"\n"))
    for batch in predictions.batches(advance):
        write(csv_bytes(batch))


WRITERS = {".parquet": _write_parquet, ".csv.gz": _write_csv_gz, ".csv": _write_csv}
