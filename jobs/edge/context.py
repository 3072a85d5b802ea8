"""What a step is handed, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from jobs.edge.ledger import SUCCEEDED, Ledger
from jobs.edge.lineage import history_of
from jobs.edge.models import Models
from jobs.edge.session import start_spark
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables, TableVersion
from jobs.errors import FormcastError
from jobs.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.edge.dynamodb import DynamoPublisher


@dataclass(frozen=True)
class StepContext:
    """A step's view of the world: its run, the settings, the lake, and Spark once it is asked for."""

    run_id: str
    step: str
    settings: Settings
    started_at: datetime

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.settings.lake)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.tables)

    @property
    def forms_table(self) -> str:
        """Where this run's forms are. A rehearsal has a table of its own: the live one never holds its dump."""
        return "forms" if self.settings.publish else "rehearsed_forms"

    def own(self, table: str) -> TableVersion:
        """A table as this run has it: as it wrote it last, else as its first step found it, else as it is now.

        Raises FormcastError if that version no longer holds the rows that the run left in it.
        """
        done = [entry for entry in self.ledger.entries(self.run_id) if entry.status == SUCCEEDED]
        wrote = [entry for entry in done if table in entry.versions_written]
        read = [entry for entry in done if table in entry.versions_read]
        if not (wrote or read):
            return self.tables.version(table)
        meant = wrote[-1].versions_written[table] if wrote else read[0].versions_read[table]
        # Its rows may be in a later version by now: maintenance compacts files, and deletes those of before.
        version = self.tables.version(table, history_of(self.tables, table).newest_of(meant))
        if not wrote:
            return version
        left = wrote[-1].counts.get(rows_of(table), version.rows)
        Balance(f"Rows of {table} that step {wrote[-1].step} left", left, "rows there now", version.rows).check()
        return version

    @cached_property
    def models(self) -> Models:
        return Models(self.tables)

    @cached_property
    def serving(self) -> Serving:
        return Serving(self.tables)

    @cached_property
    def dynamodb(self) -> DynamoPublisher | None:
        """None where the settings name no table."""
        if not self.settings.dynamodb_table:
            return None
        from jobs.edge.dynamodb import DynamoPublisher  # noqa: PLC0415 - few ask for boto3 and Spark together

        settings = self.settings
        return DynamoPublisher(
            self.tables, settings.dynamodb_table, writes=settings.dynamodb_writes, reads=settings.dynamodb_reads
        )

    @cached_property
    def spark(self) -> SparkSession:
        return start_spark(self.settings, f"formcast {self.step} {self.run_id}")


def rows_of(table: str) -> str:
    """The name of the count, in the ledger, of a table's rows after a step wrote it."""
    return f"{table}_rows"


@dataclass(frozen=True)
class Balance:
    """Two counts that must be equal, each with the words that say what was counted."""

    left: str
    left_count: int
    right: str
    right_count: int

    def check(self) -> None:
        """Raises FormcastError where the counts differ: rows were lost or made up."""
        if self.left_count != self.right_count:
            raise FormcastError(
                f"{self.left} ({self.left_count:,}) and {self.right} ({self.right_count:,}) must be the same number: "
                "rows were lost or doubled. The run stopped; please report this with the step's log."
            )


@dataclass(frozen=True)
class StepResult:
    """What a step read and wrote, its counts, the balances that must hold, numbers to watch, a sentence."""

    message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    read: list[TableVersion] = field(default_factory=list)
    wrote: list[TableVersion] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    metrics: dict[tuple[str, str], float] = field(default_factory=dict)
    """(name, slice) -> value; the slice is "" for the whole."""
    details: dict[str, str] = field(default_factory=dict)
