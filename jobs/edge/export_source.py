"""What an export takes out of the lake: the predictions of one run, batch by batch, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv as pacsv

from jobs.edge.delta_errors import READ_ERRORS, first_line, is_lost
from jobs.edge.files import scratch
from jobs.edge.lineage import history_of, predictions_of_run
from jobs.edge.tables import Tables, TableVersion
from jobs.errors import FormcastError, MissingError
from jobs.schemas import PREDICTIONS
from speed.errors import StoreMissingError
from speed.sources import generations_below

Advance = Callable[[int], None]
"""Called with the number of rows that went out since it was called last."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of one run, as of one version of the table. write: the version that score wrote, its name."""

    at: TableVersion
    write: int
    run_id: str
    model_version: str
    scored_at: datetime
    _tables: Tables

    def __str__(self) -> str:
        return (
            f"predictions of run {self.run_id} by model {self.model_version}: table version {self.write}, "
            f"scored {self.scored_at:%Y-%m-%d %H:%M:%S} UTC, {self.at.rows:,} forms"
        )

    def batches(self, advance: Advance) -> Iterator[pa.RecordBatch]:
        """All rows, as PREDICTIONS. Raises FormcastError where the lake does not hold them whole."""
        rows = 0
        try:
            for batch in _scan(self._tables, self.at.version):
                yield batch
                rows += batch.num_rows
                advance(batch.num_rows)
        except READ_ERRORS as error:
            raise FormcastError(_unreadable(self.at.version, error)) from None
        if rows != self.at.rows:
            raise FormcastError(f"The lake holds {rows:,} predictions of {self.at.rows:,}: nothing was exported.")


def csv_bytes(batch: pa.RecordBatch) -> memoryview:
    """Lines of CSV without a header: text in quotes, a null as nothing, floats that read back the same."""
    sink = pa.BufferOutputStream()
    pacsv.write_csv(batch, sink, pacsv.WriteOptions(include_header=False))
    return memoryview(sink.getvalue())


def predictions_of(tables: Tables, run_id: str = "") -> Predictions:
    """The predictions of a run; without one, of what is live. Raises MissingError where there are none."""
    version = _version_of(tables, run_id) if run_id else _live_version(tables)
    try:
        at = tables.version("predictions", version)
        first = next((batch for batch in _scan(tables, version) if batch.num_rows), None)
    except READ_ERRORS as error:
        kind = MissingError if is_lost(error) else FormcastError
        raise kind(_unreadable(version, error)) from None
    if first is None:
        raise MissingError(f"Version {version} of predictions holds no form: there is nothing to export.")
    (made,) = first.slice(0, 1).to_pylist()
    write = history_of(tables, "predictions").write_of(version)
    return Predictions(at, write, made["run_id"], made["model_version"], made["scored_at"].astimezone(UTC), tables)


def _scan(tables: Tables, version: int) -> Iterator[pa.RecordBatch]:
    for batch in tables.batches("predictions", PREDICTIONS.names, version):
        yield batch.cast(PREDICTIONS)


def _live_version(tables: Tables) -> int:
    try:
        live = generations_below(f"{tables.lake}/serving", scratch()).live_manifest()
    except StoreMissingError as error:
        raise MissingError(f"{error} Run `make run` first, or name another lake with --lake.") from None
    return history_of(tables, "predictions").newest_of(live.predictions_version)


def _version_of(tables: Tables, run_id: str) -> int:
    tables.delta("run_ledger")  # an error where there is no lake
    return predictions_of_run(tables, run_id)


def _unreadable(version: int, error: Exception) -> str:
    """Why a version cannot be exported: mostly, because it is old."""
    if not is_lost(error):
        return f"Version {version} of predictions cannot be read for now: {first_line(error)}. Export it again."
    return (
        f"Version {version} of predictions cannot be read ({first_line(error)}). Maintenance deletes what is older "
        "than FORMCAST_RETENTION_DAYS: name a later run with --run, or score anew (DAG score_forms)."
    )
