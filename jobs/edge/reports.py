"""The reports of a lake: one HTML page a run, and `latest.html`; each is replaced whole."""

from __future__ import annotations

from jobs.edge.files import LakeFiles
from jobs.edge.tables import Tables

LATEST = "latest.html"


class Reports:
    """The pages below `<lake>/reports`."""

    def __init__(self, tables: Tables) -> None:
        self._files = LakeFiles(tables.lake)

    def write(self, run_id: str, page: str, *, newest: bool) -> str:
        """Write a run's page, and where it is the newest run's, the same as `latest.html`. Answers where it is."""
        for name in (f"{run_id}.html", LATEST) if newest else (f"{run_id}.html",):
            self._files.write(f"reports/{name}", page.encode())
        return self._files.place(f"reports/{run_id}.html")
