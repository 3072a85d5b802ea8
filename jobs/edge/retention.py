"""What nothing needs any more: models to which no rollback leads, and old refused lines that no replay may take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs.edge.context import StepContext
from jobs.edge.delta_errors import READ_ERRORS, is_lost
from jobs.edge.ledger import Entry
from jobs.edge.lineage import history_of, model_of, scores
from jobs.edge.models import CANDIDATE, CHAMPION, MANIFEST_FILE
from jobs.edge.rejected import REJECTED
from jobs.edge.replayable import lines_waiting
from jobs.edge.store_errors import plain_sentences
from jobs.edge.table_lock import table_lock


def restorable(context: StepContext, since: datetime) -> list[Entry]:
    """The scores whose rows were those of `predictions` at `since` or later: a rollback may bring them back."""
    if not context.tables.exists("predictions"):
        return []
    history, found = history_of(context.tables, "predictions"), []
    for entry in scores(context.ledger.entries()):
        write = entry.versions_written["predictions"]
        replaced = history.replaced_at(write)
        if history.knows(history.newest_of(write)) and (replaced is None or replaced >= since):
            found.append(entry)
    return found


def forms_of(context: StepContext, kept: Sequence[Entry]) -> list[int]:
    """The versions of `forms` that a rollback to one of these scores reads, though other forms came long since."""
    if not kept:
        return []
    history = history_of(context.tables, "forms")
    versions = {history.newest_of(entry.versions_read["forms"]) for entry in kept if "forms" in entry.versions_read}
    return [version for version in sorted(versions) if _has_log(context, "forms", version)]


def _has_log(context: StepContext, name: str, version: int) -> bool:
    """Whether a version of a table can still be opened."""
    try:
        context.tables.delta(name, version)
    except READ_ERRORS as error:
        if is_lost(error):  # its commit is there, but not what that changed
            return False
        raise
    return True


def forget_models(context: StepContext, since: datetime, kept: Sequence[Entry]) -> int:
    """Delete the folders of models from before `since` that nothing needs; how many.

    kept: as `restorable` returns them. The rows in `model_versions` stay.
    """
    models = context.models
    needed = _needed_models(context, kept)
    trained = {model.version: model.created_at for model in models.all()}
    forgotten = 0
    for version in models.files.folders("models"):
        folder = f"models/{version}"
        if version.startswith(".") or version in needed or not models.has_files(version):
            continue
        if (trained.get(version) or models.files.changed(folder)) < since:
            models.files.delete(f"{folder}/{MANIFEST_FILE}")  # from here on nobody takes it for a model
            models.files.delete(folder)
            forgotten += 1
    return forgotten


def _needed_models(context: StepContext, kept: Sequence[Entry]) -> set[str]:
    """All models, if it cannot be told which one a rollback would bring back."""
    models = context.models.all()
    needed = {model.version for model in models if model.state in (CHAMPION, CANDIDATE)}
    with plain_sentences():
        needed |= {manifest.model_version for manifest in context.serving.generations.kept()}
    scored_by = {model_of(context.tables, entry) for entry in kept}
    if None in scored_by:
        return {*context.models.files.folders("models")}
    return needed | {version for version in scored_by if version}


def forget_rejected(context: StepContext) -> int:
    """Delete refused lines that are older than `rejected_days`, but none that a replay may take; how many."""
    if not context.tables.exists(REJECTED):
        return 0
    before = context.started_at - timedelta(days=context.settings.rejected_days)
    old = f"rejected_at < '{before.isoformat(sep=' ')}' and not ({lines_waiting(context).for_delta_rs})"
    runs = context.tables.query(f"select distinct run_id from {REJECTED} where {old}", REJECTED)
    if not runs:
        return 0
    names = ", ".join("'" + row["run_id"].replace("'", "''") + "'" for row in runs)
    # Only partitions of these runs are read, and a file of which all lines go is not written anew.
    with table_lock(context.tables.lake, REJECTED):
        return int(context.tables.delta(REJECTED).delete(f"run_id in ({names}) and {old}")["num_deleted_rows"])
