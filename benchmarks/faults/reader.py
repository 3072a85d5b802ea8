"""A reader that polls all the while: of what it sees, nothing may be torn."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from jobs.edge.tables import Tables
from speed.errors import StoreError
from speed.live import Live
from speed.settings import ServeSettings
from speed.sources import open_sources

PAUSE_SECONDS = 0.05


class Reader(threading.Thread):
    """Reads `forms`, `predictions` and every answer of a lake again and again, until `stop`; notes what is torn.

    sizes: how many rows a whole table may have, before the step and after it.
    """

    def __init__(self, lake: str, cache: Path, sizes: dict[str, set[int]]) -> None:
        super().__init__(daemon=True)
        self.torn: list[str] = []
        self.reads = 0
        self._tables, self._sizes, self._ended = Tables(lake), sizes, threading.Event()
        self._live = Live(*open_sources(ServeSettings(lake=lake, cache=str(cache))))

    def run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            for name in ("forms", "predictions"):
                try:
                    self._read(name)
                except (DeltaError, OSError) as error:
                    if self._tables_answer():
                        self.torn.append(f"{name} cannot be read: {str(error)[:200]}")
            self._answers()
            self.reads += 1
        self._live.close()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _tables_answer(self) -> bool:
        """Whether the store can be reached at all: a network that was cut is no torn read."""
        return not self._tables.lake.startswith("s3://")

    def _read(self, name: str) -> None:
        if not self._tables.exists(name):
            return
        columns = ["form_id", "run_id"] if name == "forms" else ["form_id", "run_id", "model_version"]
        table: DeltaTable = self._tables.delta(name)
        rows = table.to_pyarrow_table(columns=columns)
        if len(rows) not in self._sizes[name]:
            self.torn.append(f"{name} has {len(rows)} rows, not one of {sorted(self._sizes[name])}")
        if pc.count_distinct(rows["form_id"]).as_py() != len(rows):
            self.torn.append(f"{name} has forms twice")
        if name == "predictions" and pc.count_distinct(rows["run_id"]).as_py() > 1:
            self.torn.append("predictions are of two runs")

    def _answers(self) -> None:
        try:
            self._live.look()
            generation = self._live.now()
        except StoreError:
            return
        ids = [f"form-{at}" for at in range(0, 900, 30)]
        used, found = self._live.find_many(ids)
        if used.manifest.generation != generation.manifest.generation or len(found) != len(ids):
            self.torn.append(f"{len(found)} of {len(ids)} forms are answered from {used.manifest.generation}")
