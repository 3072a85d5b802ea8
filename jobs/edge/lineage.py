"""Where the rows of a table's version come from: told by the table's history and the ledger, and never guessed.

Maintenance and rollback give a table new versions without changing a row, and maintenance deletes the files of old
ones. So a version in the ledger says which rows are meant, not where they are to be read today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.edge.delta_errors import READ_ERRORS, is_lost
from jobs.edge.ledger import SUCCEEDED, Entry, Ledger
from jobs.edge.tables import Tables
from jobs.errors import MissingError

MODEL = "model"
"""In the details of a score's entry: the version of the model that scored."""

# Operations, as delta-rs and Spark call them, after which a table has the rows that it had before.
_SAME_ROWS = frozenset(
    {
        *("OPTIMIZE", "REORG", "VACUUM START", "VACUUM END"),
        *("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "UPGRADE PROTOCOL", "ADD FEATURE"),
        *("ADD CONSTRAINT", "DROP CONSTRAINT", "COMPUTE STATS"),
    }
)


class History:
    """The commits of a table, as far back as its log goes. A version before that counts as a write of rows."""

    def __init__(self, commits: Iterable[Mapping[str, Any]]) -> None:
        """commits: as `DeltaTable.history` returns them."""
        self._writes, self._newest = dict[int, int](), dict[int, int]()
        self._at = dict[int, datetime]()
        for commit in sorted(commits, key=lambda commit: int(commit["version"])):
            version, before = int(commit["version"]), _same_rows_as(commit)
            write = version if before is None else self.write_of(before)
            self._writes[version], self._newest[write] = write, version
            self._at[version] = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)

    def write_of(self, version: int) -> int:
        """The version that wrote the rows of `version`."""
        return self._writes.get(version, version)

    def newest_of(self, version: int) -> int:
        """The newest version with the rows of `version`: maintenance deletes its files last."""
        write = self.write_of(version)
        return self._newest.get(write, write)

    def knows(self, version: int) -> bool:
        return version in self._at

    def replaced_at(self, version: int) -> datetime | None:
        """When other rows last took the place of those of `version`; None if they are the table's now."""
        successor = self.newest_of(version) + 1
        if successor > max(self._at, default=0):
            return None
        return self._at.get(successor, min(self._at.values()))


def _same_rows_as(commit: Mapping[str, Any]) -> int | None:
    """The version whose rows a commit left or brought back; None if it wrote rows, or if it does not say."""
    version, operation = int(commit["version"]), commit.get("operation")
    if operation in _SAME_ROWS:
        return version - 1
    if operation == "RESTORE":
        # To a time, not to a version, is null here: which version that was depends on whose clock is asked.
        restored = (commit.get("operationParameters") or {}).get("version")
        return int(restored) if restored is not None else None
    return None


def history_of(tables: Tables, name: str) -> History:
    return History(tables.delta(name).history())


@dataclass(frozen=True)
class Scoring:
    """A score. wrote, read: the versions of `predictions` and `forms` that it wrote and read.

    predictions, forms: the newest versions with these rows.
    """

    entry: Entry
    wrote: int
    read: int
    predictions: int
    forms: int


def scoring_of(tables: Tables, version: int) -> Scoring:
    """The score that made the rows of a version of `predictions`. Raises MissingError if it is not known."""
    predictions = history_of(tables, "predictions")
    write = predictions.write_of(version)
    made = [entry for entry in scores(Ledger(tables).entries()) if entry.versions_written["predictions"] == write]
    if not made or "forms" not in made[-1].versions_read:
        raise MissingError(
            f"Neither the table's history nor the ledger says which forms version {version} of predictions was made "
            "from: score anew (DAG score_forms)."
        )
    forms, read = history_of(tables, "forms"), made[-1].versions_read["forms"]
    if not forms.knows(forms.newest_of(read)):
        raise MissingError(
            f"The forms that version {version} of predictions was made from are older than the history of their "
            "table: score anew (DAG score_forms)."
        )
    return Scoring(made[-1], write, read, predictions.newest_of(write), forms.newest_of(read))


def scores(entries: Iterable[Entry]) -> list[Entry]:
    """Those of scores that wrote predictions, in the same order."""
    return [e for e in entries if e.step == "score" and e.status == SUCCEEDED and "predictions" in e.versions_written]


def score_of_run(tables: Tables, run_id: str) -> Entry:
    """The last score of a run. Raises MissingError if there is none whose rows the table has or had."""
    known = scores(Ledger(tables).entries())
    own = [entry for entry in known if entry.run_id == run_id]
    if not own:
        raise MissingError(
            f"Run {run_id!r} scored no forms, so it has no predictions: `formcast runs` lists the runs."
        )
    write = own[-1].versions_written["predictions"]
    if own[-1] is not next(entry for entry in reversed(known) if entry.versions_written["predictions"] == write):
        raise MissingError(
            f"The predictions of run {run_id!r} are gone: the table was made anew since. Choose a later run."
        )
    return own[-1]


def predictions_of_run(tables: Tables, run_id: str) -> int:
    """The newest version of `predictions` with the rows of a run's last score.

    Raises MissingError if the run has none, or if the table's history does not reach back to it.
    """
    write = score_of_run(tables, run_id).versions_written["predictions"]
    history = history_of(tables, "predictions")
    version = history.newest_of(write)
    if not history.knows(version):
        raise MissingError(
            f"The predictions of run {run_id!r} are older than the table's history: choose a later run."
        )
    return version


def model_of(tables: Tables, entry: Entry) -> str | None:
    """The version of the model that scored, by its entry or, if that is of an earlier Formcast, by the predictions.

    None if neither says so any more.
    """
    if MODEL in entry.details:
        return entry.details[MODEL]
    history = history_of(tables, "predictions")
    version = history.newest_of(entry.versions_written["predictions"])
    if not history.knows(version):
        return None
    try:
        first = tables.delta("predictions", version).to_pyarrow_dataset().head(1, columns=["run_id", "model_version"])
    except READ_ERRORS as error:
        if is_lost(error):  # in the history, but maintenance has deleted its files
            return None
        raise
    is_own = first.num_rows and first["run_id"][0].as_py() == entry.run_id
    return str(first["model_version"][0]) if is_own else None
