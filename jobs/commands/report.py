"""`formcast report`: the page about a run, written again or for a place of your own. No JVM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Lake, settings_with


def report(
    run_id: Annotated[str, typer.Argument(help="The run; without one, the newest.")] = "",
    lake: Lake = None,
    out: Annotated[Path | None, typer.Option(help="Write the page there, and not into the lake.")] = None,
) -> None:
    """Write a run's report, one HTML page that needs nothing else: <lake>/reports/<run>.html and latest.html."""
    from jobs.edge.files import LakeFiles
    from jobs.edge.reports import Reports
    from jobs.edge.tables import Tables
    from jobs.report.facts import gather, newest_run
    from jobs.report.page import render

    tables = Tables(settings_with(lake=lake).lake)
    tables.delta("run_ledger")  # an error where there is no lake
    newest = newest_run(tables)
    facts = gather(tables, run_id or newest)
    if out is not None:
        LakeFiles(str(out.parent)).write(out.name, render(facts).encode())
        place = str(out.resolve())
    else:
        name = facts.summary.run_id
        place = Reports(tables).write(name, render(facts), newest=name == newest)
    for note in facts.notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(place)
