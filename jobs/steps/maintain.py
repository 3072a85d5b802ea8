"""maintain: small files are compacted, and what no rollback or replay within the retention needs is deleted."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

from deltalake import WriterProperties

from jobs.edge.context import StepContext, StepResult
from jobs.edge.files import LakeFiles
from jobs.edge.models import MANIFEST_FILE
from jobs.edge.pieces import ROWS_A_GROUP
from jobs.edge.rejected import REJECTED
from jobs.edge.retention import forget_models, forget_rejected, forms_of, restorable
from jobs.edge.table_lock import table_lock
from jobs.schemas import TABLES

_A_DAY = timedelta(days=1)


def maintain(context: StepContext) -> StepResult:
    """Predictions stay restorable for `retention_days`; work folders of killed runs go after a day."""
    tables, days = context.tables, context.settings.retention_days
    since = context.started_at - timedelta(days=days)
    for name in filter(tables.exists, TABLES):
        with table_lock(tables.lake, name) if name == REJECTED else nullcontext():  # streams write it meanwhile
            tables.keep_history(name, days)

    lines = forget_rejected(context)
    kept = restorable(context, since)
    compacted = deleted = 0
    for name in filter(tables.exists, TABLES):
        table = tables.delta(name)
        groups = WriterProperties(max_row_group_size=ROWS_A_GROUP, compression="ZSTD")
        compacted += table.optimize.compact(writer_properties=groups)["numFilesRemoved"]
        needed = forms_of(context, kept) if name == "forms" else []
        deleted += len(table.vacuum(days * 24, dry_run=False, full=True, keep_versions=needed or None))
    models = forget_models(context, since, kept)
    left = _delete_leftovers(LakeFiles(context.settings.lake))
    return StepResult(
        message=f"{compacted:,} small files compacted; {deleted:,} files, {models:,} models, {lines:,} refused lines "
        f"and {left:,} leftover folders deleted.",
        counts={
            "files_compacted": compacted,
            "files_deleted": deleted,
            "models_deleted": models,
            "rejected_deleted": lines,
            "folders_deleted": left,
        },
    )


def _delete_leftovers(files: LakeFiles) -> int:
    """Delete what killed runs were building or uploading, a day ago or longer."""
    unfinished = [f"_staging/{name}" for name in files.folders("_staging")]
    for place in ("models", "serving"):
        folders = (f"{place}/{name}" for name in files.folders(place))
        unfinished += [name for name in folders if "/." in name or not files.has(f"{name}/{MANIFEST_FILE}")]
    old = [name for name in unfinished if datetime.now(UTC) - files.changed(name) > _A_DAY]
    for name in old:
        files.delete(name)
    return len(old)
