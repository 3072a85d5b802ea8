"""`formcast nightly`: the whole nightly DAG in the embedded Airflow, with a progress display and a plain ending."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from jobs.commands.options import settings_with
from jobs.commands.progress import CLAIM, Progress, forget_unfinished
from jobs.edge.airflow import DagRun
from jobs.edge.lock import only_holder
from jobs.edge.places import in_s3
from jobs.errors import FormcastError, UsageError
from jobs.settings import ROOT, Settings

DAG_ID = "nightly_retrain"
PARAMS = {
    *("input", "lake", "columns", "layout", "mode", "data_until"),
    *("allow_older", "publish"),
    *("max_reject_fraction", "max_row_drop", "warn_row_drop", "expected_rows", "search_budget"),
}
LOOK_SECONDS = 0.2
INTERRUPTED = 130

Text = str | None


def nightly(  # noqa: PLR0917  (options, which typer passes by name)
    input_: Annotated[Text, typer.Option("--input", help="File, folder or glob to ingest.")] = None,
    lake: Annotated[Text, typer.Option("--lake", help="Folder of the tables.")] = None,
    columns: Annotated[Text, typer.Option(help="Order of the columns: form_id,views,submissions,features.")] = None,
    layout: Annotated[Literal["auto", "packed", "wide"] | None, typer.Option(help="How a line is laid out.")] = None,
    mode: Annotated[Literal["full", "increment"] | None, typer.Option(help="All forms, or changes.")] = None,
    data_until: Annotated[
        Text, typer.Option(help="The input knows all up to this time (2026-11-24T01:30Z); else when it was written.")
    ] = None,
    allow_older: Annotated[
        bool | None, typer.Option("--allow-older", help="Let data older than what is live take its place.")
    ] = None,
    publish: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="No: ingest, train and judge; nothing goes live.")
    ] = None,
    max_reject_fraction: Annotated[float | None, typer.Option(help="Over this share of bad lines: stop.")] = None,
    max_row_drop: Annotated[float | None, typer.Option(help="Over this loss of forms that are live: stop.")] = None,
    warn_row_drop: Annotated[float | None, typer.Option(help="From this loss of forms on: warn.")] = None,
    expected_rows: Annotated[int | None, typer.Option(help="Lines of data that the input must have.")] = None,
    budget: Annotated[Text, typer.Option(help="Time to search for parameters: 90s, 10m or 1h.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the summary as JSON too.")] = None,
    run_id: Annotated[Text, typer.Option(help="Name of the run; a failed one goes on under its name.")] = None,
) -> None:
    """Run the whole nightly DAG here, in Airflow: prepare, monitor, train, promote, score, publish, report."""
    settings = _with_absolute_paths(
        settings_with(
            input=input_,
            lake=lake,
            columns=columns,
            layout=layout,
            mode=mode,
            data_until=data_until,
            allow_older=allow_older,
            publish=publish,
            max_reject_fraction=max_reject_fraction,
            max_row_drop=max_row_drop,
            warn_row_drop=warn_row_drop,
            expected_rows=expected_rows,
            search_budget=budget,
        )
    )
    if not settings.input:
        raise UsageError("There is nothing to ingest: name a file, a folder or a glob, as in `make run INPUT=path`.")
    run_id = _clean(run_id or f"manual-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    summary_path = summary.absolute() if summary else None
    _run(settings, run_id)

    from jobs.commands.runs import print_summary

    print_summary(settings, run_id, summary_path)


def _run(settings: Settings, run_id: str) -> None:
    """Run the DAG to its end; raises FormcastError with the exit code of the step that failed."""
    from jobs.steps import STEPS

    folder = Path(settings.logs) / run_id
    params = settings.model_dump(mode="json", include=PARAMS)
    env = {"FORMCAST_LOGS": settings.logs, "FORMCAST_RETRIES": os.environ.get("FORMCAST_RETRIES", "0")}
    console = Console(stderr=True)
    console.print(f"Run {run_id}: {settings.input} -> {settings.lake}", markup=False, highlight=False, soft_wrap=True)
    # Ended from outside, as from the terminal: the steps' processes end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _alive(settings, run_id) as (hold, env_of_claim), Progress(folder, (CLAIM, *STEPS), console) as progress:
        forget_unfinished(folder)
        run = DagRun(ROOT, folder / "airflow.log", env | env_of_claim)
        try:
            run.start(DAG_ID, params | {"run_id": run_id}, hold)
            while run.ended() is None:
                progress.look()
                time.sleep(LOOK_SECONDS)
            progress.look()
        except KeyboardInterrupt:
            run.stop()
            console.print("\nStopped. What was published before stays live.", soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
        finally:
            run.stop()
    if run.ended():
        _fail(progress, run.log)


@contextmanager
def _alive(settings: Settings, run_id: str) -> Iterator[tuple[int | None, dict[str, str]]]:
    """What tells other runs that this one is alive: a lock that its processes hold, and its name for the claim.

    In S3 nobody could see a lock. There the claim is short between steps, since on one machine they follow at once.
    """
    if in_s3(settings.lake):
        yield None, {"FORMCAST_CLAIM_KEEP": os.environ.get("FORMCAST_CLAIM_KEEP", "300")}
        return
    name = f".alive-{run_id}"
    busy = f"Run {run_id} is under way already: wait until it has ended, or give this one another RUN_ID."
    file = Path(settings.lake) / name
    with only_holder(file, busy) as hold:
        yield hold, {"FORMCAST_ALIVE": name}
        file.unlink(missing_ok=True)


def _fail(progress: Progress, log: Path) -> NoReturn:
    """Say what went wrong in one sentence: from the step's own status, else from what Airflow saw of it."""
    if failed := progress.failed():
        code, sentence = failed.exit_code or 1, f"{failed.step} failed: {failed.message}"
    elif found := _last_ending(log):
        code, sentence = found
    else:
        code, sentence = 1, "Airflow stopped before any step was run."
    error = FormcastError(f"{sentence.rstrip()}\nLog: {log}")
    error.exit_code = code
    raise error


def _last_ending(log: Path) -> tuple[int, str] | None:
    """Exit code and sentence of the last step that Airflow saw end badly."""
    told = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    endings = re.findall(r"Exception: (Step \w+ (?:ended with exit code (\d+)|was killed by signal \d+): .*)", told)
    if endings:
        sentence, code = endings[-1]
        return int(code or 1), sentence
    missing = re.findall(r"AirflowFailException: (.*)", told)
    return (4, missing[-1]) if missing else None


def _with_absolute_paths(settings: Settings) -> Settings:
    """The steps run in another folder than the person who names these places."""
    places = {name: _absolute(getattr(settings, name)) for name in ("input", "lake", "logs")}
    return settings.model_copy(update=places)


def _absolute(place: str) -> str:
    if not place or "://" in place:
        return place
    return os.path.abspath(Path(place).expanduser())  # noqa: PTH100  (keeps a glob as it is, `..` resolved)


def _clean(run_id: str) -> str:
    from jobs.runner import clean_run_id

    return clean_run_id(run_id)
