"""How a run goes on: the steps' status files, shown as a live table or, without a terminal, as plain lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

WAITING, RUNNING, SUCCEEDED, FAILED = "waiting", "running", "succeeded", "failed"
CLAIM = "claim"
"""Not a step: a run waits there for another one that has the lake."""

_MARKS = {
    WAITING: ("·", "dim"),
    RUNNING: ("▸", "cyan"),
    SUCCEEDED: ("✓", "green"),
    FAILED: ("✗", "bold red"),
}


@dataclass(frozen=True)
class StepStatus:
    """What a step last told: status, when (UTC), its sentence, its exit code where it failed."""

    step: str
    status: str = WAITING
    at: datetime | None = None
    message: str = ""
    exit_code: int = 0


class Progress:
    """Follows the steps of one run; `look` as often as you like."""

    def __init__(self, folder: Path, steps: Iterable[str], console: Console) -> None:
        self._folder = folder
        self._console = console
        self._steps = {step: StepStatus(step) for step in steps}
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def failed(self) -> StepStatus | None:
        return next((s for s in self._steps.values() if s.status == FAILED), None)

    def running(self) -> StepStatus | None:
        return next((s for s in self._steps.values() if s.status == RUNNING), None)

    def look(self) -> None:
        """Read the status files; say what has changed."""
        for step, before in self._steps.items():
            now = _read(self._folder / f"{step}.status.json") or before
            if now == before:
                continue
            if step == CLAIM and before.at is None and now.status == SUCCEEDED:
                continue  # it had the lake at once
            if now.status == RUNNING or step not in self._began:
                self._began[step] = time.monotonic()
            if now.status in (SUCCEEDED, FAILED):
                self._took[step] = _seconds_between(before, now)
            self._steps[step] = now
            is_news = (now.status, now.message) != (before.status, before.message)
            if is_news and not self._console.is_terminal:
                self._console.print(self._line(step), markup=False, highlight=False, soft_wrap=True)

    def _line(self, step: str) -> str:
        status = self._steps[step]
        if status.status == WAITING:
            return f"{step}: waiting. {status.message}"
        if status.status == RUNNING:
            return f"{step}: running"
        word = "done" if status.status == SUCCEEDED else status.status
        return f"{step}: {word} in {self._took[step]:.1f} s"

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step, status in self._steps.items():
            if step == CLAIM and status.at is None:
                continue
            mark, style = _MARKS.get(status.status, _MARKS[WAITING])
            if status.status == WAITING:
                seconds = status.message
            elif status.status == RUNNING:
                seconds = f"{time.monotonic() - self._began[step]:.0f} s"
            else:
                seconds = f"{self._took[step]:.1f} s" if step in self._took else ""
            table.add_row(f"[{style}]{mark}[/]", step.ljust(8), f"[{style}]{status.status}[/]", seconds)
        return table


def forget_unfinished(folder: Path) -> None:
    """Before a run goes on under its name: what an earlier try left running or failed is no news of this one."""
    for path in folder.glob("*.status.json"):
        told = _read(path)
        if told is None or told.status != SUCCEEDED:
            path.unlink()


def _seconds_between(before: StepStatus, now: StepStatus) -> float:
    return (now.at - before.at).total_seconds() if before.at and now.at else 0.0


def _read(path: Path) -> StepStatus | None:
    with suppress(OSError, ValueError, KeyError):
        told = json.loads(path.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(told["at"])
        return StepStatus(told["step"], told["status"], at, told.get("message", ""), told.get("exit_code", 0))
    return None
