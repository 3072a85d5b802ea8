"""`formcast export`: the predictions, as a table of PostgreSQL or as a file. No JVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from jobs.commands.options import Lake, settings_with


def export(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            envvar="FORMCAST_EXPORT_TO",
            help="postgres://user@host/database[?table=schema.table], or a file: .parquet, .csv or .csv.gz, "
            "here or at s3://. The password of a database: PGPASSWORD or ~/.pgpass.",
        ),
    ],
    lake: Lake = None,
    run_id: Annotated[str, typer.Option("--run", help="The run; without one, what is live.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Load a table again that holds them already.")] = False,
) -> None:
    """Write predictions to a table of PostgreSQL or to a file: all of them appear at once, or none."""
    from jobs.edge.export_files import write_file, writer_of
    from jobs.edge.export_postgres import SCHEMES, copy_to, read_address
    from jobs.edge.export_source import predictions_of
    from jobs.edge.tables import Tables

    address = read_address(to) if to.startswith(SCHEMES) else None
    if address is None:
        writer_of(to)  # a wrong ending is told before anything is looked for
    predictions = predictions_of(Tables(settings_with(lake=lake).lake), run_id)
    done = True
    with _bar(predictions.at.rows) as advance:
        if address:
            place, done = copy_to(address, predictions, advance, again=again)
        else:
            place = write_file(predictions, to, advance)
    typer.echo(f"{place} {'now holds' if done else 'holds already'}: {predictions}.")


@contextmanager
def _bar(rows: int) -> Iterator[Callable[[int], None]]:
    """A bar of rows on standard error, where that is a terminal; answers what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=rows)
        yield lambda more: progress.advance(task, more)
