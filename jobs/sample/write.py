"""Writes a sample to a file: chunk by chunk, whole or not at all."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jobs.errors import UsageError
from jobs.sample.chunks import BROKEN, Plan, draw_chunks
from jobs.sample.ids import MAX_IDS
from jobs.sample.lines import Layout, header, to_bytes

MAX_FRACTION = 0.5


def plan_sample(rows: int, seed: int, broken: float, duplicates: float) -> Plan:
    """Counts of a sample of `rows` lines, of which a share (0..0.5, rounded) is broken and another duplicates.

    Raises UsageError when the numbers make no sense.
    """
    if not 1 <= rows <= MAX_IDS:
        raise UsageError(f"A sample has 1 to {MAX_IDS:,} rows, not {rows:,}: change --rows.")
    if seed < 0:
        raise UsageError(f"A seed is 0 or above, not {seed}: change --seed.")
    for name, fraction in (("--broken", broken), ("--duplicates", duplicates)):
        if not 0 <= fraction <= MAX_FRACTION:
            raise UsageError(f"{name} is a share from 0 to {MAX_FRACTION}, not {fraction}.")
    plan = Plan(rows, round(rows * broken), round(rows * duplicates), seed)
    if plan.forms < 1:
        raise UsageError("Nothing but broken lines and duplicates would be left: lower --broken or --duplicates.")
    return plan


def write_sample(plan: Plan, layout: Layout, out: Path) -> None:
    """Write the lines of the plan to `out`, compressed when its name ends in .gz.

    The file appears under its name when it is whole. Memory does not grow with the rows. The same plan and layout
    give the same bytes with the same numpy (and, compressed, the same zlib).
    Raises UsageError when the folder is not there or `out` is a folder.
    """
    if not out.parent.is_dir():
        raise UsageError(f"The folder {out.parent} is not there: create it, or change --out.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder: give --out the name of a file.")
    broken_before = 0
    with _appearing_whole(out) as file:
        file.write(header(layout))
        for chunk in draw_chunks(plan):
            file.write(to_bytes(chunk, layout, broken_before))
            broken_before += int((chunk.kind == BROKEN).sum())


@contextmanager
def _appearing_whole(out: Path) -> Iterator[IO[bytes]]:
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as raw:
            if out.name.endswith(".gz"):
                # No name and no time in the header, or the same sample would differ in bytes.
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=5, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
