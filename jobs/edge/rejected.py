"""The table `rejected_forms`: a run's refused lines go in together, and are marked once they are replayed.

Nights, replays and streams write it, all by delta-rs and under its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from jobs.edge.context import StepContext
from jobs.edge.ingest_plan import IngestPlan
from jobs.edge.parts import add_action
from jobs.edge.places import filesystem_of
from jobs.edge.replayable import Waiting, quoted
from jobs.edge.table_lock import table_lock
from jobs.edge.tables import Tables, TableVersion

REJECTED = "rejected_forms"
_KEY = ["line", "source_file"]
_LINES = pa.schema([(name, pa.string()) for name in _KEY])


def commit_rejected(context: StepContext, plan: IngestPlan, records: list[dict[str, Any]]) -> TableVersion:
    """The run's refused lines, in place of those that an earlier attempt of the same run left."""
    files = [add_action(record, {"run_id": plan.run_id}) for record in records]
    with table_lock(context.tables.lake, REJECTED):
        context.tables.commit(REJECTED, files, run_id=plan.run_id, partition=plan.run_id)
        return context.tables.version(REJECTED)


def mark_replayed(tables: Tables, plan: IngestPlan, staged: Sequence[dict[str, Any]], waiting: Waiting) -> None:
    """Say of refused lines, now in forms or superseded there, which run replayed them.

    staged: records of the files with the forms that were accepted. waiting: the lines that were replayed. The same
    line of another run is another line.
    """
    superseded = tables.delta(REJECTED).to_pyarrow_table(partitions=[("run_id", "=", plan.run_id)], columns=_KEY)
    lines = [_accepted(plan.forms_folder, staged), superseded.cast(_LINES)]
    mark(tables, pa.concat_tables(lines), plan.run_id, waiting)


def mark(tables: Tables, lines: pa.Table, run_id: str, waiting: Waiting) -> None:
    """Say of `lines` (line, source_file), as far as they were waiting, that a run replayed them. One commit."""
    if not lines.num_rows:
        return
    runs = ", ".join(map(quoted, waiting.runs))  # no file of another run is read
    same = f"old.run_id in ({runs}) and old.line = new.line and old.source_file = new.source_file"
    with table_lock(tables.lake, REJECTED):
        (
            tables.delta(REJECTED)
            .merge(
                lines.group_by(_KEY).aggregate([]),
                f"{same} and {waiting.for_delta_rs}",
                source_alias="new",
                target_alias="old",
            )
            .when_matched_update({"replayed_by": quoted(run_id)})
            .execute()
        )


def _accepted(folder: str, records: Sequence[dict[str, Any]]) -> pa.Table:
    if not records:
        return _LINES.empty_table()
    system, root = filesystem_of(folder)
    schema = pa.schema([("line", pa.binary()), ("source", pa.string())])
    files = ds.dataset([f"{root}/{record['path']}" for record in records], schema, "parquet", filesystem=system)
    lines = files.to_table(columns=schema.names).rename_columns(_KEY)
    return lines.cast(_LINES)
