"""The run ledger: one row an attempt of a step, appended when it ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from jobs.edge.tables import Tables

SUCCEEDED, FAILED = "succeeded", "failed"
STEPS = ("prepare", "monitor", "train", "promote", "score", "publish", "report")
"""Of a night, in order. A run that does none of them leaves one out."""

REDO = "redo"
"""In an entry's details: how many tries the task had behind it when it was last cleared."""


@dataclass(frozen=True)
class Entry:
    """What a step did: counts of rows, versions of tables (by name) read and written, and a sentence.

    details: facts that are not numbers, such as the mode of an ingest.
    """

    run_id: str
    step: str
    status: str
    started_at: datetime
    finished_at: datetime
    code_version: str
    engine: str
    message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    versions_read: dict[str, int] = field(default_factory=dict)
    versions_written: dict[str, int] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


_MAPS = ("counts", "versions_read", "versions_written", "details")


class Ledger:
    """Reads and appends entries; never changes one."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def append(self, entry: Entry) -> None:
        row = asdict(entry) | {name: json.dumps(getattr(entry, name)) for name in _MAPS}
        self._tables.append("run_ledger", [row])

    def entries(self, run_id: str | None = None) -> list[Entry]:
        """All entries, or a run's, oldest first."""
        rows = self._tables.query("select * from run_ledger order by started_at", "run_ledger")
        return [_entry(row) for row in rows if run_id in (None, row["run_id"])]

    def succeeded(self, run_id: str, step: str) -> Entry | None:
        """The last entry in which a step of a run succeeded."""
        done = [entry for entry in self.entries(run_id) if entry.step == step and entry.status == SUCCEEDED]
        return done[-1] if done else None

    def done(self, run_id: str, step: str, redo: int = 0) -> Entry | None:
        """The entry of a step that is done already, which makes a retry a no-op.

        A step is to be done again after a step before it was, and if it was cleared since: redo is then greater than
        when it was done.
        """
        succeeded = [entry for entry in self.entries(run_id) if entry.status == SUCCEEDED]
        own = [entry for entry in succeeded if entry.step == step and int(entry.details.get(REDO, 0)) >= redo]
        if not own:
            return None
        before = STEPS[: STEPS.index(step)] if step in STEPS else ()
        changed = any(entry.step in before and entry.finished_at > own[-1].finished_at for entry in succeeded)
        return None if changed else own[-1]


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**(row | {name: json.loads(row.get(name) or "{}") for name in _MAPS}))
