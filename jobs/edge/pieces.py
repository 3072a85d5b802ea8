"""Pieces of a Delta table's files, which Spark tasks read themselves: a fresh JVM's reader must warm up first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from jobs.edge.places import filesystem_of
from jobs.errors import FormcastError

ROWS_A_PIECE = 500_000
ROWS_A_GROUP = 1 << 16
"""Of a file that is written for such tasks: it is read by groups, and a group by one task."""
_PLAIN_FILES = 1  # Delta's readers of higher versions must know deletion vectors, or other names of columns


@dataclass(frozen=True)
class Piece:
    """Of one file every `of`-th row group, from the one at `first` on. Pieces of a file have no row in common."""

    file: str
    first: int
    of: int


def pieces_of(table: DeltaTable, least: int) -> list[Piece]:
    """A whole table in pieces of half a million rows or fewer; in `least` pieces or more, as row groups allow.

    Raises FormcastError where the files alone do not tell what the rows are.
    """
    if table.protocol().min_reader_version > _PLAIN_FILES:
        raise FormcastError(
            f"The table {table.table_uri} has deletion vectors or mapped columns, which are not supported: "
            "run REORG TABLE ... APPLY (PURGE) in Spark, and switch them off."
        )
    files = pa.table(table.get_add_actions(flatten=True))
    counted = list(zip(files["path"].to_pylist(), files["num_records"].to_pylist(), strict=True))
    rows = min(ROWS_A_PIECE, max(1, -(-sum(count for _, count in counted) // least)))
    return [
        Piece(path, first, of)
        for path, count in sorted(counted)
        for of in [max(1, -(-count // rows))]
        for first in range(of)
    ]


def read_piece(folder: str, piece: Piece, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a piece, of these columns, in batches. folder: that of the table."""
    system, root = filesystem_of(folder)
    # Buffered ahead, a piece is a few large requests to S3, where each column of each group would be one.
    with system.open_input_file(f"{root}/{piece.file}") as opened, pq.ParquetFile(opened, pre_buffer=True) as file:
        groups = range(piece.first, file.num_row_groups, piece.of)
        if groups:
            yield from file.iter_batches(ROWS_A_GROUP, groups, columns, use_threads=False)
