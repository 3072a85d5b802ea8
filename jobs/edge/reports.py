"""The reports of a lake: one HTML page a run, and `latest.html`; each is replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.edge.tables import Tables

LATEST = "latest.html"


class Reports:
    """The pages below `<lake>/reports`."""

    def __init__(self, tables: Tables) -> None:
        self.folder = Path(tables.lake) / "reports"

    def path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.html"

    def write(self, run_id: str, page: str, *, newest: bool) -> Path:
        """Write a run's page, and where it is the newest run's, the same as `latest.html`."""
        write_whole(self.path(run_id), page)
        if newest:
            write_whole(self.folder / LATEST, page)
        return self.path(run_id)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
