"""What a Spark task of the stream does with its events: validate, score, store, and write away what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa

from jobs.edge.parts import PartWriter
from jobs.schemas import REJECTED_FORMS
from jobs.transforms.layout import EVENT_COLUMNS, PACKED_COLUMNS
from speed.events import Event, entries_of, read_event
from speed.generations import Generation
from speed.settings import ServeSettings
from speed.sources import GenerationSource, open_sources
from speed.stores.base import RealtimeStore

RECORD = pa.schema([("record", pa.string())])
RECORD_DDL = "record string"
_REJECTED_FILE = pa.schema([column for column in REJECTED_FORMS if column.name != "run_id"])


@dataclass(frozen=True)
class StreamPlan:
    """What a batch's tasks share. source: what rejected_forms shall say the payloads came from."""

    settings: ServeSettings
    generation: str
    rejected_folder: str
    partition: str
    source: str


def handle(batches: Iterator[pa.RecordBatch], plan: StreamPlan) -> Iterator[pa.RecordBatch]:
    """Take batches of events (payload, event_id, received_at); one record says what became of them (see Outcome).

    Done again after a failure, it stores nothing twice: an entry gives way to newer data only.
    """
    _, realtime = _sources(plan.settings)
    generation = _generation(plan.settings, plan.generation)
    refused = PartWriter(plan.rejected_folder, f"run_id={plan.partition}")
    accepted = stored = 0
    arrived: list[datetime] = []
    for batch in batches:
        now = datetime.now(UTC)
        events, broken = [], []
        for payload, event_id, received_at in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            arrived.append(received_at or now)
            event = read_event(payload or b"", event_id, arrived[-1])
            if isinstance(event, Event):
                events.append(event)
            else:
                broken.append(_refused_row(payload or b"", event, plan.source, now))
        accepted += len(events)
        stored += realtime.put(entries_of(events, generation, now))
        refused.write(pa.Table.from_pylist(broken, schema=_REJECTED_FILE))
    record = {
        "accepted": accepted,
        "refused": refused.rows,
        "stored": stored,
        "oldest": min(arrived).timestamp() if arrived else None,
        "part": refused.close(),
    }
    yield pa.RecordBatch.from_pylist([{"record": json.dumps(record)}], schema=RECORD)


def _refused_row(payload: bytes, reasons: list[str], source: str, now: datetime) -> dict[str, Any]:
    is_line = not payload.lstrip().startswith(b"{")
    return {
        "line": payload.decode("utf-8", "backslashreplace"),
        "reasons": reasons,
        "source_file": source,
        "columns": ",".join(PACKED_COLUMNS if is_line else EVENT_COLUMNS),
        "rejected_at": now,
        "replayed_by": None,
    }


# A worker process of Spark lives on from task to task, and so does what it has opened.
@lru_cache(maxsize=1)
def _sources(settings: ServeSettings) -> tuple[GenerationSource, RealtimeStore]:
    return open_sources(settings, patient=True)


@lru_cache(maxsize=1)
def _generation(settings: ServeSettings, name: str) -> Generation:
    return _sources(settings)[0].open(name)
