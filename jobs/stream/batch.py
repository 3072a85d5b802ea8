"""One batch of the stream: its tasks, the commit of what they refused, and what to say of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deltalake import CommitProperties
from deltalake.transaction import Transaction
from pyspark.sql import DataFrame

from jobs.edge.parts import add_action, delete_parts
from jobs.edge.rejected import REJECTED
from jobs.edge.table_lock import table_lock
from jobs.edge.tables import Tables
from jobs.schemas import PARTITIONS, REJECTED_FORMS
from jobs.stream.tasks import RECORD_DDL, StreamPlan, handle


@dataclass
class Outcome:
    """What became of a batch's events. oldest: when the first of them came in, in seconds of the epoch."""

    accepted: int = 0
    refused: int = 0
    stored: int = 0
    oldest: float | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[dict[str, Any]]) -> Outcome:
        """The sum of what a batch's tasks say (`handle`)."""
        return cls(
            accepted=sum(record["accepted"] for record in records),
            refused=sum(record["refused"] for record in records),
            stored=sum(record["stored"] for record in records),
            oldest=min((record["oldest"] for record in records if record["oldest"] is not None), default=None),
            parts=[record["part"] for record in records if record["part"]],
        )


def run_batch(events: DataFrame, plan: StreamPlan) -> Outcome:
    """Validate, score and store a batch. What it refused stands in files, for `quarantine` to commit."""
    records = events.mapInArrow(_handling(plan), RECORD_DDL).toArrow()
    return Outcome.of([json.loads(record) for record in records["record"].to_pylist()])


def _handling(plan: StreamPlan) -> Any:
    return lambda batches: handle(batches, plan)


def quarantine(tables: Tables, outcome: Outcome, partition: str, stream_id: str, batch_id: int) -> None:
    """Commit a batch's refused payloads once: the table itself remembers the last batch of each stream.

    Raises BusyError if others hold the table's lock for too long.
    """
    if not outcome.parts:
        return
    with table_lock(tables.lake, REJECTED):
        table = tables.delta(REJECTED)
        done = table.transaction_version(stream_id)
        if done is not None and done >= batch_id:
            delete_parts(tables.path(REJECTED), outcome.parts)  # it was killed after this commit, and comes again
            return
        table.create_write_transaction(
            [add_action(part, {"run_id": partition}) for part in outcome.parts],
            mode="append",
            schema=REJECTED_FORMS,
            partition_by=PARTITIONS[REJECTED],
            commit_properties=CommitProperties(app_transactions=[Transaction(stream_id, batch_id)]),
        )
