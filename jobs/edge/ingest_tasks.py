"""What a Spark task of the ingest does with its lines (see jobs.edge.ingest)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.edge.parts import PartWriter
from jobs.schemas import FORMS, REJECTED_FORMS
from jobs.transforms.layout import Layout
from jobs.transforms.lines import is_in, lines_by_file, path_of_source
from jobs.transforms.parse import parse_lines, with_completion_rate

DONE, CONTESTED = "done", "contested"
INSERTED, UPDATED, STALE = "inserted", "updated", "stale"
"""What becomes of a form of an increment: it is new, wins over the stored one, or gives way to it."""
OUTCOME = pa.schema(
    [
        ("kind", pa.string()),
        ("record", pa.string()),
        ("line", pa.binary()),
        ("source", pa.string()),
        ("layout", pa.int32()),
        ("id_hash", pa.int64()),
    ]
)
_ORIGIN = [pa.field("line", pa.binary()), pa.field("source", pa.string()), pa.field("columns", pa.string())]
STAGED = pa.schema([*FORMS, *_ORIGIN])
_REJECTED_FILE = pa.schema([column for column in REJECTED_FORMS if column.name != "run_id"])
_BEST_FIRST = [
    ("form_id", "ascending"),
    ("views", "descending"),
    ("submissions", "descending"),
    ("line", "ascending"),
]


@dataclass(frozen=True)
class IngestPlan:
    """Where and as what a run's lines are written.

    forms_folder, rejected_folder: where Parquet files go. layouts: what a line's `layout` index means.
    keep_lines: also write the raw line, its source and columns beside each form (an increment still needs them).
    keep_refused: write refused lines; a replay does not, they stand in the table already.
    """

    run_id: str
    started_at: datetime
    forms_folder: str
    rejected_folder: str
    layouts: tuple[Layout, ...]
    keep_lines: bool = False
    keep_refused: bool = True


@dataclass
class _Task:
    """The files and counts of one task."""

    plan: IngestPlan
    counts: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        pa.set_cpu_count(1)  # a task has one core; more threads would take other tasks'
        self._forms = PartWriter(self.plan.forms_folder)
        self._rejected = PartWriter(self.plan.rejected_folder, f"run_id={self.plan.run_id}")

    def parse(self, lines: pa.RecordBatch | pa.Table) -> pa.Table:
        """Write away what is refused, answer what is accepted with its line, source and columns."""
        kept = []
        for index, layout in enumerate(self.plan.layouts):
            group = lines.filter(pc.equal(lines["layout"], index))
            if not group.num_rows:
                continue
            parsed = parse_lines(_flat(group["line"]), layout)
            refused = group.take(parsed.rejected_at)
            self._reject(refused["line"], refused["source"], ",".join(layout.columns), parsed.reasons)
            origin = group.take(parsed.accepted_at)
            columns = pa.repeat(",".join(layout.columns), origin.num_rows)
            accepted = with_completion_rate(parsed.accepted).append_column("line", [_flat(origin["line"])])
            kept.append(accepted.append_column("source", [_flat(origin["source"])]).append_column("columns", columns))
        return pa.concat_tables(kept)

    def accept(self, forms: pa.Table) -> None:
        rows = forms.num_rows
        table = forms.append_column("run_id", pa.repeat(self.plan.run_id, rows))
        table = table.append_column("ingested_at", pa.repeat(_time(self.plan.started_at), rows))
        schema = STAGED if self.plan.keep_lines else FORMS
        self._forms.write(table.select(schema.names).cast(schema))
        self.counts["accepted"] += rows

    def supersede(self, losers: pa.Table) -> None:
        """Keep the rows of a form that had fewer views than another of its rows."""
        for columns in pc.unique(losers["columns"]).to_pylist():
            group = losers.filter(pc.equal(losers["columns"], columns))
            self._reject(group["line"], group["source"], columns, [["superseded_duplicate"]] * group.num_rows)

    def _reject(self, lines: Any, sources: Any, columns: str, reasons: list[list[str]]) -> None:
        if not reasons:
            return
        texts = [line.decode("utf-8", "backslashreplace") for line in lines.to_pylist()]
        rows = len(texts)
        duplicates = sum(codes == ["superseded_duplicate"] for codes in reasons)
        self.counts["duplicates"] += duplicates
        self.counts["rejected"] += rows - duplicates
        self.reasons.update(code for codes in reasons for code in codes)
        for text, codes in zip(texts, reasons, strict=True):
            if len(self.examples) < 3 and codes != ["superseded_duplicate"]:
                self.examples.append(f"{text[:60]!r} ({', '.join(codes)})")
        if not (self.plan.keep_refused or duplicates):
            return
        files = [path_of_source(source) for source in sources.to_pylist()]
        data = [
            pa.array(texts),
            pa.array(reasons, REJECTED_FORMS.field("reasons").type),
            pa.array(files),
            pa.repeat(columns, rows),
            pa.repeat(_time(self.plan.started_at), rows),
            pa.nulls(rows, pa.string()),
        ]
        self._rejected.write(pa.table(data, schema=_REJECTED_FILE))

    def done(self) -> pa.RecordBatch:
        record = {
            "counts": self.counts,
            "lines": self.lines,
            "reasons": self.reasons,
            "examples": self.examples,
            "forms": self._forms.close(),
            "rejected": self._rejected.close(),
        }
        row = {"kind": DONE, "record": json.dumps(record)}
        return pa.RecordBatch.from_pylist([row], schema=OUTCOME)


def write_lines(
    batches: Iterator[pa.RecordBatch], plan: IngestPlan, repeated: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Write the lines whose id hash is not in `repeated` (sorted); pass the others on, as contested."""
    task = _Task(plan)
    for batch in batches:
        task.counts["read"] += batch.num_rows
        task.lines += lines_by_file(batch["source"])
        is_contested = is_in(batch["id_hash"].to_numpy(), repeated)
        if is_contested.any():
            contested = batch.filter(pa.array(is_contested))
            task.counts["contested"] += contested.num_rows
            kind = pa.repeat(CONTESTED, contested.num_rows)
            nothing = pa.nulls(contested.num_rows, pa.string())
            yield pa.RecordBatch.from_arrays([kind, nothing, *contested.columns], schema=OUTCOME)
        if not is_contested.all():
            task.accept(task.parse(batch.filter(pa.array(~is_contested)) if is_contested.any() else batch))
    yield task.done()


def settle_lines(batches: Iterator[pa.RecordBatch], plan: IngestPlan) -> Iterator[pa.RecordBatch]:
    """Of lines brought together by id hash, write each form's row with the most views, and keep the others."""
    task = _Task(plan)
    together = list(batches)
    if together:
        lines = pa.Table.from_batches(together)
        ranked = task.parse(lines).sort_by(_BEST_FIRST)
        ids = ranked["form_id"].to_numpy()
        is_first = np.concatenate([[True], ids[1:] != ids[:-1]])[: len(ids)]
        task.accept(ranked.filter(pa.array(is_first)))
        task.supersede(ranked.filter(pa.array(~is_first)))
    yield task.done()


def settle_fates(batches: Iterator[pa.RecordBatch], plan: IngestPlan) -> Iterator[pa.RecordBatch]:
    """Of rows (fate, line, source, columns), count fates and keep, as superseded, those that are STALE."""
    task = _Task(plan)
    for batch in batches:
        task.counts.update(batch["fate"].to_pylist())
        task.supersede(pa.table(batch).filter(pc.equal(batch["fate"], STALE)))
    yield task.done()


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _time(at: datetime) -> pa.Scalar:
    return pa.scalar(at, REJECTED_FORMS.field("rejected_at").type)
