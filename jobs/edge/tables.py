"""The Delta tables of a lake. Every write is checked against the table's schema and is one commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.transaction import AddAction

from jobs.edge.places import in_s3, s3_endpoint
from jobs.errors import MissingError
from jobs.schemas import PARTITIONS, TABLES
from jobs.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Row counts come from the statistics of every file; minima and maxima of 47 features would only cost time.
STATISTICS_COLUMNS = "form_id,views"
ROWS_A_BATCH = 1 << 16
LOG_AHEAD_DAYS = 35
"""A version that gave way on the first day of the retention was written before that: by a monthly dump, a month."""


@dataclass(frozen=True)
class TableVersion:
    """A table as of one commit, and the rows it holds."""

    table: str
    version: int
    rows: int


class Tables:
    """The tables of one lake, read and written without a JVM where that is enough."""

    def __init__(self, lake: str) -> None:
        self.lake = lake.rstrip("/")
        # delta-rs finds credentials, region and endpoint as boto3 does, but takes no plain HTTP unasked.
        self._options = {"allow_http": "true"} if in_s3(lake) and s3_endpoint().startswith("http:") else None

    def path(self, name: str) -> str:
        return f"{self.lake}/{name}"

    def exists(self, name: str) -> bool:
        return bool(DeltaTable.is_deltatable(self.path(name), self._options))

    def delta(self, name: str, version: int | None = None) -> DeltaTable:
        """The table as of `version` (the newest without one). Raises MissingError where it is not there."""
        if not self.exists(name):
            raise MissingError(
                f"There is no table {name!r} in the lake {self.lake!r}: run `make run`, or name another lake."
            )
        return DeltaTable(self.path(name), version=version, storage_options=self._options)

    def version(self, name: str, version: int | None = None) -> TableVersion:
        """Version and row count, from the statistics in the log alone."""
        table = self.delta(name, version)
        counts = pa.table(table.get_add_actions(flatten=True))
        rows = sum(counts["num_records"].to_pylist()) if counts.num_rows else 0
        return TableVersion(name, table.version(), rows)

    def batches(self, name: str, columns: Iterable[str], version: int | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in batches. Few are read ahead: the dozens of Arrow's own are gigabytes where columns are many."""
        dataset = self.delta(name, version).to_pyarrow_dataset()
        ahead = {"batch_readahead": 2, "fragment_readahead": 1}
        return iter(dataset.to_batches(columns=list(columns), batch_size=ROWS_A_BATCH, **ahead))

    def query(self, sql: str, *names: str, version: int | None = None) -> list[dict[str, Any]]:
        """Rows that `sql` selects from the named tables; a table that is not there yet counts as empty.

        version: of the one table that is named; the newest without one.
        """
        builder = QueryBuilder()
        for name in names:
            self.create(name)
            builder.register(name, self.delta(name, version))
        rows: list[dict[str, Any]] = pa.table(builder.execute(sql)).to_pylist()
        return rows

    def metrics(self, run_id: str) -> dict[tuple[str, str], float]:
        """A run's numbers: (name, slice) -> value."""
        rows = self.query(f"select name, slice, value from metrics where run_id = '{run_id}'", "metrics")
        return {(row["name"], row["slice"]): row["value"] for row in rows}

    def any_id(self, name: str) -> str:
        """The id of some form in the table, "" where it has none: an example to try."""
        rows = self.query(f"select form_id from {name} limit 1", name)
        return str(rows[0]["form_id"]) if rows else ""

    def spark(self, spark: SparkSession, name: str, version: int | None = None) -> DataFrame:
        """The table as of `version` (the newest without one), as a Spark frame."""
        at = self.delta(name, version).version()
        return spark.read.format("delta").option("versionAsOf", at).load(self.path(name))

    def create(self, name: str) -> None:
        """Make the table, empty, where it is not there yet."""
        if not self.exists(name):
            if not in_s3(self.lake):
                Path(self.lake).mkdir(parents=True, exist_ok=True)
            is_wide = name in ("forms", "rehearsed_forms", "predictions")
            statistics = {"delta.dataSkippingStatsColumns": STATISTICS_COLUMNS} if is_wide else {}
            DeltaTable.create(
                self.path(name),
                schema=TABLES[name],
                mode="ignore",
                partition_by=PARTITIONS.get(name),
                storage_options=self._options,
                configuration=statistics | kept_history(Settings().retention_days),
            )

    def keep_history(self, name: str, days: int) -> None:
        """Make Delta keep what a table of `days` ago needs: a commit, unless the table has been set so already."""
        table, wanted = self.delta(name), kept_history(days)
        if not wanted.items() <= table.metadata().configuration.items():
            table.alter.set_table_properties(wanted)

    def append(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        self._write(name, pa.Table.from_pylist(list(rows), schema=TABLES[name]), "append")

    def replace(self, name: str, rows: Sequence[dict[str, Any]], where: str | None = None) -> None:
        """Put `rows` in place of all rows, or of those that the SQL condition `where` selects."""
        self._write(name, pa.Table.from_pylist(list(rows), schema=TABLES[name]), "overwrite", where)

    def _write(self, name: str, table: pa.Table, mode: Any, where: str | None = None) -> None:
        self.create(name)
        # A column that came with a later version of Formcast joins the table when it is first written.
        grows = "merge" if mode == "append" else None
        write_deltalake(
            self.path(name), table, mode=mode, predicate=where, schema_mode=grows, storage_options=self._options
        )

    def commit(self, name: str, files: Iterable[AddAction], run_id: str, partition: str | None = None) -> None:
        """Put data files that stand in the table's folder in place of its present ones, in one commit.

        partition: with a value, only the files of that `run_id` partition give way.
        """
        self.create(name)
        self.delta(name).create_write_transaction(
            list(files),
            mode="overwrite",
            schema=TABLES[name],
            partition_by=PARTITIONS.get(name),
            partition_filters=[("run_id", "=", partition)] if partition else None,
            commit_properties=CommitProperties(custom_metadata={"formcast.run_id": run_id}),
        )


def kept_history(days: int) -> dict[str, str]:
    """The properties of a table that can be read as it was `days` ago.

    Without them Delta forgets after a week which files gave way, and a vacuum takes those for nobody's.
    """
    return {
        "delta.deletedFileRetentionDuration": f"interval {days} days",
        "delta.logRetentionDuration": f"interval {days + LOG_AHEAD_DAYS} days",
    }
