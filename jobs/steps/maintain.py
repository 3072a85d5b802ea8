"""maintain: small files are compacted, and files that no version within the retention needs are deleted."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from jobs.edge.context import StepContext, StepResult
from jobs.schemas import TABLES

_DAY = 24 * 3600


def maintain(context: StepContext) -> StepResult:
    """Predictions stay restorable for `retention_days`; work folders of killed runs go after a day."""
    hours = context.settings.retention_days * 24
    compacted = deleted = 0
    for name in filter(context.tables.exists, TABLES):
        table = context.tables.delta(name)
        compacted += table.optimize.compact()["numFilesRemoved"]
        deleted += len(table.vacuum(hours, dry_run=False, full=True))
    left = _delete_leftovers(Path(context.settings.lake))
    return StepResult(
        message=f"{compacted:,} small files compacted, {deleted:,} files and {left:,} leftover folders deleted.",
        counts={"files_compacted": compacted, "files_deleted": deleted, "folders_deleted": left},
    )


def _delete_leftovers(lake: Path) -> int:
    patterns = ("_staging/*", "serving/.building-*", "models/.*")
    old = [path for pattern in patterns for path in lake.glob(pattern) if time.time() - path.stat().st_mtime > _DAY]
    for path in old:
        shutil.rmtree(path)
    return len(old)
