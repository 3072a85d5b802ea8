"""What the tasks of an ingest are told, and the rows that they hand over (see jobs.edge.ingest)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from jobs.schemas import FORMS
from jobs.transforms.layout import Layout

DONE, CONTESTED = "done", "contested"
INSERTED, UPDATED, STALE = "inserted", "updated", "stale"
"""What becomes of a form of an increment: it is new, wins over the stored one, or gives way to it."""
OUTCOME = pa.schema(
    [
        ("kind", pa.string()),
        ("record", pa.string()),
        ("line", pa.binary()),
        ("source", pa.string()),
        ("written_at", FORMS.field("ingested_at").type),
        ("layout", pa.int32()),
        ("id_hash", pa.int64()),
    ]
)
OUTCOME_DDL = (
    "kind string, record string, line binary, source string, written_at timestamp, layout int, id_hash bigint"
)
_ORIGIN = [pa.field("line", pa.binary()), pa.field("source", pa.string()), pa.field("columns", pa.string())]
STAGED = pa.schema([*FORMS, *_ORIGIN])


@dataclass(frozen=True)
class IngestPlan:
    """Where and as what a run's lines are written.

    forms_folder, rejected_folder: where Parquet files go. layouts: what a line's `layout` index means.
    keep_lines: also write the raw line, its source and columns beside each form (an increment still needs them).
    replays: the lines are of rejected_forms. What is refused again is not written, since it stands there already; a
    form is as new as its line, which is of the run that refused it.
    """

    run_id: str
    started_at: datetime
    forms_folder: str
    rejected_folder: str
    layouts: tuple[Layout, ...]
    keep_lines: bool = False
    replays: bool = False
