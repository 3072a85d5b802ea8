"""The command line: `formcast --help`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from jobs.commands import keys
from jobs.commands.claim import claim, release
from jobs.commands.explain import explain
from jobs.commands.export import export
from jobs.commands.nightly import nightly
from jobs.commands.options import Lake, RunId, settings_with
from jobs.commands.pin import generations, pin, unpin
from jobs.commands.repair import maintain, replay, rollback
from jobs.commands.report import report
from jobs.commands.runs import models, run, runs
from jobs.commands.sample import sample
from jobs.commands.serve import serve
from jobs.commands.show import rejects, show
from jobs.commands.stream import stream
from jobs.commands.worker import worker
from jobs.errors import FormcastError
from speed.errors import SpeedError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def formcast() -> None:
    """Predicts the completion rate of every online form, every night."""


@app.command()
def step(
    name: Annotated[str, typer.Argument(help="prepare, monitor, train, promote, score, publish or report.")],
    run_id: RunId,
    lake: Lake = None,
    again: Annotated[bool, typer.Option("--again", help="Do it again, and so the steps after it.")] = False,
) -> None:
    """Run one step of a run; done before, it is not done again. Other settings come from FORMCAST_*."""
    from jobs.runner import redo_of, run_step
    from jobs.steps import load_step

    settings = settings_with(lake=lake)
    redo = redo_of(settings, run_id, name) + 1 if again else settings.redo
    entry = run_step(load_step(name), name, run_id, settings.model_copy(update={"redo": redo}))
    typer.echo(entry.message)


COMMANDS: tuple[Callable[..., None], ...] = (
    *(nightly, runs, run, report, show, explain, rejects, models, export),
    *(generations, pin, unpin, stream, rollback, replay, maintain, sample, serve, worker, claim, release),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run a command; errors end as one sentence and the exit code of their kind."""
    try:
        app()
    except FormcastError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        typer.echo(f"formcast: {error}", err=True)
        sys.exit(error.exit_code)
    except SpeedError as error:
        typer.echo(f"formcast: {error}", err=True)
        sys.exit(FormcastError.exit_code)
    except Exception:  # noqa: BLE001  (the last resort: the trace is for the log, the sentence for the person)
        traceback.print_exc()
        typer.echo("formcast: something unexpected went wrong; the trace is above.", err=True)
        sys.exit(1)
