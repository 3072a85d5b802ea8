"""Commands that set things right: replay refused lines, go back to an earlier run, tidy the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from jobs.commands.options import Columns, Lake, settings_with
from jobs.runner import Step, run_step
from jobs.settings import Settings

_NOW = "Name of this run; made from the time without one."
RunIdOrNow = Annotated[str, typer.Option("--run-id", help=_NOW)]


def replay(
    lake: Lake = None,
    reason: Annotated[str, typer.Option(help="Only lines refused for this reason code.")] = "",
    columns: Columns = None,
    run_id: RunIdOrNow = "",
) -> None:
    """Ingest refused lines again, after the columns or the contract were mended. Twice does no more than once."""
    from jobs.steps.replay import replay as step

    _run("replay", run_id, partial(step, reason=reason), settings_with(lake=lake, columns=columns))


def rollback(
    to: Annotated[str, typer.Option("--to", help="The run whose predictions shall be live again.")],
    lake: Lake = None,
    run_id: RunIdOrNow = "",
) -> None:
    """Make an earlier run's predictions, serving generation and model live again, together or not at all."""
    from jobs.steps.rollback import rollback as step

    _run("rollback", run_id, partial(step, to=to), settings_with(lake=lake))


def maintain(
    lake: Lake = None,
    run_id: Annotated[str, typer.Option("--run-id", envvar="FORMCAST_RUN_ID", help=_NOW)] = "",
) -> None:
    """Compact small files and delete those that nothing needs any more."""
    from jobs.steps.maintain import maintain as step

    _run("maintain", run_id, step, settings_with(lake=lake))


def _run(name: str, run_id: str, step: Step, settings: Settings) -> None:
    now = datetime.now(UTC)
    entry = run_step(step, name, run_id or f"{name}-{now:%Y%m%dT%H%M%S}", settings)
    typer.echo(entry.message)
