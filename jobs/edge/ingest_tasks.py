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

from jobs.edge.ingest_plan import CONTESTED, DONE, OUTCOME, STAGED, STALE, IngestPlan
from jobs.edge.parts import PartWriter
from jobs.schemas import FORMS, REJECTED_FORMS
from jobs.transforms.lines import is_in, lines_by_file, path_of_source
from jobs.transforms.parse import parse_lines, with_completion_rate

_REJECTED_FILE = pa.schema([column for column in REJECTED_FORMS if column.name != "run_id"])
# The rule of speed/merge.py, for rows of one ingest.
_BEST_FIRST = [
    ("form_id", "ascending"),
    ("views", "descending"),
    ("written_at", "descending"),
    ("submissions", "descending"),
    ("line", "ascending"),
]


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
        """Write away what is refused; returns what is accepted, with its line, source, written_at and columns."""
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
            for name in ("source", "written_at"):
                accepted = accepted.append_column(name, [_flat(origin[name])])
            kept.append(accepted.append_column("columns", columns))
        return pa.concat_tables(kept)

    def accept(self, forms: pa.Table) -> None:
        rows = forms.num_rows
        table = forms.append_column("run_id", pa.repeat(self.plan.run_id, rows))
        ingested_at = forms["written_at"] if self.plan.replays else pa.repeat(_time(self.plan.started_at), rows)
        table = table.append_column("ingested_at", ingested_at)
        schema = STAGED if self.plan.keep_lines else FORMS
        self._forms.write(table.select(schema.names).cast(schema))
        self.counts["accepted"] += rows

    def supersede(self, losers: pa.Table) -> None:
        """Write away the rows of forms that give way to newer ones of the same forms."""
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
        if self.plan.replays and not duplicates:
            return
        files = sources if self.plan.replays else [path_of_source(source) for source in sources.to_pylist()]
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
    for every in batches:
        batch = every.filter(pc.invert(every["is_header"]))
        task.counts["headers"] += every.num_rows - batch.num_rows
        task.counts["read"] += batch.num_rows
        task.lines += lines_by_file(batch["source"])
        is_contested = is_in(batch["id_hash"].to_numpy(), repeated)
        if is_contested.any():
            contested = batch.filter(pa.array(is_contested))
            task.counts["contested"] += contested.num_rows
            kind = pa.repeat(CONTESTED, contested.num_rows)
            nothing = pa.nulls(contested.num_rows, pa.string())
            columns = [contested[name] for name in OUTCOME.names[2:]]
            yield pa.RecordBatch.from_arrays([kind, nothing, *columns], schema=OUTCOME)
        if not is_contested.all():
            task.accept(task.parse(batch.filter(pa.array(~is_contested)) if is_contested.any() else batch))
    yield task.done()


def settle_lines(batches: Iterator[pa.RecordBatch], plan: IngestPlan) -> Iterator[pa.RecordBatch]:
    """Of lines brought together by id hash, write each form's newest row, and keep the others as superseded."""
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
