"""`formcast claim` and `release`: what a run's first and last task call, so that the lake is its own in between."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from jobs.commands.options import Lake, RunId, settings_with


def claim(
    run_id: RunId,
    lake: Lake = None,
    alive: Annotated[
        str, typer.Option(envvar="FORMCAST_ALIVE", hidden=True, help="The lock that `formcast nightly` holds.")
    ] = "",
) -> None:
    """Claim the lake for a run: no other run writes until `formcast release`. Exit code 75: another run has it."""
    from jobs.edge.claim import claims_of, wait_for
    from jobs.edge.context import StepContext
    from jobs.errors import BusyError
    from jobs.runner import clean_run_id, tell_status, tell_waiting

    settings = settings_with(lake=lake)
    context = StepContext(clean_run_id(run_id), "claim", settings, datetime.now(UTC))
    take = partial(claims_of(settings).take, context.run_id, alive)
    try:
        wait_for(take, settings.claim_wait_seconds, partial(tell_waiting, context))
    except BusyError as error:
        tell_status(context, "waiting", str(error))  # Airflow calls again
        raise
    tell_status(context, "succeeded")
    typer.echo(f"Run {context.run_id} has the lake {settings.lake}.")


def release(run_id: RunId, lake: Lake = None) -> None:
    """Give up the lake that a run has claimed. Twice does no more than once."""
    from jobs.edge.claim import claims_of
    from jobs.runner import clean_run_id

    settings = settings_with(lake=lake)
    claims_of(settings).release(clean_run_id(run_id))
    typer.echo(f"Run {clean_run_id(run_id)} has given up the lake {settings.lake}.")
