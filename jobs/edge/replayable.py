"""Which refused lines a replay may take: those that no later dump of all forms has made out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.edge.context import StepContext
from jobs.edge.ledger import SUCCEEDED, Entry
from jobs.edge.tables import Tables
from jobs.transforms.layout import EVENT_COLUMNS

MODE = "mode"
"""In the details of prepare's entry: full or increment."""


@dataclass(frozen=True)
class Base:
    """The last full ingest and the increments after it: what `forms` is made of. runs: their ids, the full one first.

    data_until: up to when the full ingest knew everything.
    """

    runs: tuple[str, ...]
    data_until: datetime

    @property
    def condition(self) -> str:
        """Which refused lines are of these runs, or of events that came in later, as SQL."""
        runs = ", ".join(quoted(run_id) for run_id in self.runs)
        later = f"rejected_at > timestamp '{self.data_until.astimezone(UTC).isoformat(sep=' ')}'"
        return f"(run_id in ({runs}) or (run_id like 'stream-%' and {later}))"


@dataclass(frozen=True)
class Waiting:
    """Refused lines to be replayed, of a version of the table. condition: which they are, as SQL to read them.

    lines: how many by the columns that they have. runs: that refused them. left_out: what else waits and is not
    taken, and why, in sentences.
    """

    version: int
    condition: str
    lines: dict[str, int]
    runs: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def for_delta_rs(self) -> str:
        """The condition as delta-rs can note it down in a commit: it knows fewer functions and literals there."""
        return self.condition.replace("array_contains(", "array_has(").replace("timestamp '", "'")


def base_of(entries: Sequence[Entry], data_until: Mapping[str, datetime]) -> Base | None:
    """What the forms are made of, by the ledger (oldest first); None if no full ingest is known.

    data_until: by run, of its full ingest.
    """
    ingests = [e for e in entries if e.step == "prepare" and e.status == SUCCEEDED and "forms" in e.versions_written]
    fulls = [at for at, entry in enumerate(ingests) if _is_full(entry, data_until)]
    if not fulls:
        return None
    since = ingests[fulls[-1] :]
    runs = tuple(dict.fromkeys(entry.run_id for entry in since))
    return Base(runs, data_until.get(runs[0], since[0].started_at))


def _is_full(entry: Entry, data_until: Mapping[str, datetime]) -> bool:
    # Before 0.2 an entry did not say its mode; a full ingest alone left the time up to which it knew everything.
    return entry.details[MODE] == "full" if MODE in entry.details else entry.run_id in data_until


def lines_waiting(context: StepContext, reason: str = "") -> Waiting:
    """The refused lines that a replay shall take. reason: only those that were refused for it."""
    tables = context.tables
    tables.create("rejected_forms")
    version = tables.version("rejected_forms").version
    base = base_of(context.ledger.entries(), _data_until(tables))
    is_fresh, is_broken = base.condition if base else "true", "array_contains(reasons, 'not_utf8')"
    asked = f"replayed_by is null and not {_has('superseded_duplicate')} and columns <> '{','.join(EVENT_COLUMNS)}'"
    asked += f" and {_has(reason)}" if reason else ""
    groups = f"columns, run_id, {is_fresh}, {is_broken}"
    found = tables.query(
        f"select columns, run_id, {is_fresh} as is_fresh, {is_broken} as is_broken, count(*) as lines "
        f"from rejected_forms where {asked} group by {groups} order by columns, run_id",
        "rejected_forms",
        version=version,
    )
    broken = sum(row["lines"] for row in found if row["is_fresh"] and row["is_broken"])
    stale = sum(row["lines"] for row in found if not row["is_fresh"])
    taken, lines = [row for row in found if row["is_fresh"] and not row["is_broken"]], Counter[str]()
    for row in taken:
        lines[row["columns"]] += row["lines"]
    return Waiting(
        version=version,
        condition=f"{asked} and {is_fresh} and not {is_broken}",
        lines=dict(lines),
        runs=tuple(dict.fromkeys(row["run_id"] for row in taken)),
        left_out=tuple(_left_out(broken, stale, base)),
    )


def _left_out(broken: int, stale: int, base: Base | None) -> list[str]:
    sentences = []
    if broken:
        sentences.append(
            f"{broken:,} that are not UTF-8 are left out, since their bytes are not kept: correct the encoding of "
            "their file, and ingest it again."
        )
    if stale and base:
        sentences.append(
            f"{stale:,} are left out that are neither of the last full ingest (run {base.runs[0]}) nor of an "
            "increment or an event after it: its dump took their place."
        )
    return sentences


def _data_until(tables: Tables) -> dict[str, datetime]:
    rows = tables.query("select run_id, value from metrics where name = 'data_until'", "metrics")
    return {row["run_id"]: datetime.fromtimestamp(row["value"], UTC) for row in rows}


def _has(reason: str) -> str:
    return f"array_contains(reasons, {quoted(reason)})"


def quoted(text: str) -> str:
    """Text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
