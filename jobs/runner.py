"""Runs one step: once per run, with its balances checked, its ledger row, and a status file for watchers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from jobs.edge.context import StepContext, StepResult
from jobs.edge.ledger import FAILED, SUCCEEDED, Entry
from jobs.errors import FormcastError
from jobs.settings import ROOT, Settings

Step = Callable[[StepContext], StepResult]


def run_step(step: Step, name: str, run_id: str, settings: Settings) -> Entry:
    """Run `step` unless the ledger says that this run has done it; answers the ledger's entry.

    Raises what the step raised, after it is in the ledger.
    """
    context = StepContext(clean_run_id(run_id), name, settings, datetime.now(UTC))
    if done := context.ledger.succeeded(context.run_id, name):
        return done
    _tell(context, "running")
    entry = Entry(
        run_id=context.run_id,
        step=name,
        status=SUCCEEDED,
        started_at=context.started_at,
        finished_at=context.started_at,
        code_version=code_version(),
        engine=settings.engine,
    )
    try:
        result = step(context)
        for balance in result.balances:
            balance.check()
        _write_metrics(context, result)
    except Exception as error:
        message = str(error) if isinstance(error, FormcastError) else f"{type(error).__name__}: {error}"
        context.ledger.append(replace(entry, status=FAILED, finished_at=datetime.now(UTC), message=message[:2_000]))
        _tell(context, FAILED, message, error.exit_code if isinstance(error, FormcastError) else 1)
        raise
    entry = replace(
        entry,
        finished_at=datetime.now(UTC),
        message=result.message,
        counts=result.counts,
        versions_read={table.table: table.version for table in result.read},
        versions_written={table.table: table.version for table in result.wrote},
    )
    context.ledger.append(entry)
    _tell(context, SUCCEEDED, result.message)
    return entry


def clean_run_id(run_id: str) -> str:
    """A run id that is safe as a folder and as a partition."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip("-")[:120]


def code_version() -> str:
    """The release, and the commit where the code runs from a checkout."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""
    return f"{version('formcast')}+{commit}" if commit else version("formcast")


def _write_metrics(context: StepContext, result: StepResult) -> None:
    if not result.metrics:
        return
    now = datetime.now(UTC)
    rows = [
        {"run_id": context.run_id, "name": name, "slice": slice_, "value": value, "at": now}
        for (name, slice_), value in result.metrics.items()
    ]
    names = ", ".join(sorted({f"'{name}'" for name, _ in result.metrics}))
    # Replacing this run's numbers, not appending, is what makes a retry leave them as one run would.
    context.tables.replace("metrics", rows, where=f"run_id = '{context.run_id}' AND name IN ({names})")


def _tell(context: StepContext, status: str, message: str = "", exit_code: int = 0) -> None:
    """Write the step's status where a progress display looks; replaced whole, so never read half."""
    folder = Path(context.settings.logs) / context.run_id
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat()
    told = {"step": context.step, "status": status, "at": now, "message": message, "exit_code": exit_code}
    text = json.dumps(told)
    part = folder / f".{context.step}.{os.getpid()}"
    part.write_text(text, encoding="utf-8")
    part.replace(folder / f"{context.step}.status.json")
