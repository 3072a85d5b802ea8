"""Refused payloads of a stream, committed beside the nightly's: once a batch, and in nobody's way."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from jobs.edge.parts import PartWriter
from jobs.edge.tables import Tables
from jobs.schemas import REJECTED_FORMS
from jobs.stream.batch import REJECTED, Outcome, quarantine

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def tables(lake: str) -> Tables:
    tables = Tables(lake)
    tables.create(REJECTED)
    return tables


def part(tables: Tables, partition: str, line: str) -> dict[str, object]:
    """A file that holds one refused line, as tasks of the stream and of prepare write it."""
    row = {"line": line, "reasons": ["wrong_field_count"], "source_file": "s", "columns": "c", "rejected_at": NOW}
    schema = pa.schema([column for column in REJECTED_FORMS if column.name != "run_id"])
    writer = PartWriter(tables.path(REJECTED), f"run_id={partition}")
    writer.write(pa.Table.from_pylist([row], schema=schema))
    written = writer.close()
    assert written is not None
    return written


def held(tables: Tables) -> list[tuple[str, str]]:
    rows = tables.query("select run_id, line from rejected_forms order by run_id, line", REJECTED)
    return [(row["run_id"], row["line"]) for row in rows]


def test_a_batch_is_committed_once_and_a_new_checkpoint_counts_anew(tables: Tables) -> None:
    for line, stream_id, batch_id in (("a", "one", 0), ("a again", "one", 0), ("b", "one", 3), ("c", "two", 0)):
        quarantine(tables, Outcome(parts=[part(tables, "stream-s", line)]), "stream-s", stream_id, batch_id)
    quarantine(tables, Outcome(), "stream-s", "one", 4)

    assert held(tables) == [("stream-s", "a"), ("stream-s", "b"), ("stream-s", "c")]
