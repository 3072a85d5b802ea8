"""The command line: `formcast --help`."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any

import typer

from jobs.errors import FormcastError
from jobs.settings import Settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

RunId = Annotated[str, typer.Option("--run-id", envvar="FORMCAST_RUN_ID", help="The run that the step belongs to.")]
Lake = Annotated[str | None, typer.Option("--lake", help="Folder of the tables.")]


@app.callback()
def formcast() -> None:
    """Predicts the completion rate of every online form, every night."""


def settings_with(**flags: Any) -> Settings:
    """Settings from the environment, with the flags that were given on top."""
    return Settings(**{name: value for name, value in flags.items() if value is not None})


def main() -> None:
    """Run a command; errors end as one sentence and the exit code of their kind."""
    try:
        app()
    except FormcastError as error:
        typer.echo(f"formcast: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001  (the last resort: the trace is for the log, the sentence for the person)
        traceback.print_exc()
        typer.echo("formcast: something unexpected went wrong; the trace is above.", err=True)
        sys.exit(1)


@app.command()
def step(name: str, run_id: RunId, lake: Lake = None) -> None:
    """Run one step of a run: prepare, monitor, train, promote, score or publish."""
    from jobs.runner import run_step
    from jobs.steps import load_step

    entry = run_step(load_step(name), name, run_id, settings_with(lake=lake))
    typer.echo(entry.message)
