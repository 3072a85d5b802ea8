"""Runs one step: once per run, with its balances checked, its ledger row, and a status file for watchers."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from jobs.edge.claim import claims_of, wait_for
from jobs.edge.context import StepContext, StepResult, rows_of
from jobs.edge.files import LakeFiles
from jobs.edge.ledger import FAILED, REDO, SUCCEEDED, Entry, Ledger
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.settings import ROOT, Settings
from speed.errors import SpeedError

LAST_STEPS = ("report", "maintain", "replay", "rollback")
"""After these no other step of the same run comes."""

log = logging.getLogger("formcast")

Step = Callable[[StepContext], StepResult]


def run_step(step: Step, name: str, run_id: str, settings: Settings) -> Entry:
    """Run `step` unless the ledger says that this run has done it. Returns the ledger's entry.

    Waits while another run has the lake, and raises BusyError if that takes too long. Raises what the step raised,
    after it is in the ledger.
    """
    context = StepContext(clean_run_id(run_id), name, settings, datetime.now(UTC))
    with ExitStack() as claim:
        writing = lambda: claim.enter_context(claims_of(settings).writing(context.run_id, name))  # noqa: E731
        wait_for(writing, settings.claim_wait_seconds, partial(tell_waiting, context))
        context = replace(context, started_at=_now(context))
        return context.ledger.done(context.run_id, name, settings.redo) or _attempt(step, context)


def _now(context: StepContext) -> datetime:
    """The time, but never before what the ledger has seen: a clock that was moved must not change what came first."""
    known = max((entry.finished_at for entry in context.ledger.entries()), default=context.started_at)
    return max(datetime.now(UTC), known)


def redo_of(settings: Settings, run_id: str, step: str) -> int:
    """With which `redo` a step of a run was last done; -1 if it was not."""
    entry = Ledger(Tables(settings.lake)).succeeded(clean_run_id(run_id), step)
    return int(entry.details.get(REDO, 0)) if entry else -1


def tell_waiting(context: StepContext, sentence: str) -> None:
    tell_status(context, "waiting", sentence)
    print(f"formcast: {sentence} Waiting for {context.settings.claim_wait} at most.", file=sys.stderr, flush=True)


def _attempt(step: Step, context: StepContext) -> Entry:
    tell_status(context, "running")
    entry = Entry(
        run_id=context.run_id,
        step=context.step,
        status=SUCCEEDED,
        started_at=context.started_at,
        finished_at=context.started_at,
        code_version=code_version(),
        engine=context.settings.engine,
    )
    redone = {REDO: str(context.settings.redo)} if context.settings.redo else {}
    try:
        result = step(context)
        for balance in result.balances:
            balance.check()
        _write_metrics(context, result)
    except Exception as error:
        failure = _in_a_sentence(error, context)
        tell_status(context, FAILED, str(failure), failure.exit_code)
        context.ledger.append(replace(entry, status=FAILED, finished_at=_now(context), message=str(failure)))
        _report_failure(context)
        raise failure from error
    entry = replace(
        entry,
        finished_at=_now(context),
        message=result.message,
        counts=result.counts | {rows_of(table.table): table.rows for table in result.wrote},
        versions_read={table.table: table.version for table in result.read},
        versions_written={table.table: table.version for table in result.wrote},
        details=result.details | redone,
    )
    context.ledger.append(entry)
    tell_status(context, SUCCEEDED, result.message)
    return entry


def _report_failure(context: StepContext) -> None:
    """Write the page about a night that stopped, whose own step for that is not reached: the latest would be old."""
    if context.step in LAST_STEPS:
        return
    from jobs.report.leave import leave_report  # noqa: PLC0415 - a step that goes well does not wait for templates

    try:
        leave_report(context)
    except Exception:  # what failed in the step is what must be raised
        log.warning("The report of %s is not written.", context.run_id, exc_info=True)


def _in_a_sentence(error: Exception, context: StepContext) -> FormcastError:
    """The error as what people read; the trace that it carries is for the log."""
    if isinstance(error, FormcastError):
        return error
    if isinstance(error, SpeedError):
        return FormcastError(str(error))
    if any(sign in str(error) for sign in ("No space left on device", "Disk quota exceeded")):
        where = LakeFiles(context.settings.lake).place("")
        return MissingError(f"The disk of {where} or of Spark's work files is full: free space, then run again.")
    if any(sign in str(error) for sign in ("OutOfMemoryError", "Java heap space")):
        heap = context.settings.driver_memory
        return FormcastError(f"Spark ran out of its {heap} of memory: give it more with FORMCAST_DRIVER_MEMORY.")
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return FormcastError(f"Step {context.step} met something unexpected: {type(error).__name__}: {first[:500]}")


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


def tell_status(context: StepContext, status: str, message: str = "", exit_code: int = 0) -> None:
    """Write the step's status, whole, where whoever watches it looks: in a folder, or from EMR in S3."""
    now = datetime.now(UTC).isoformat()
    told = {"step": context.step, "status": status, "at": now, "message": message, "exit_code": exit_code}
    name = f"{context.run_id}/{context.step}.status.json"
    LakeFiles(context.settings.logs).write(name, json.dumps(told).encode())
