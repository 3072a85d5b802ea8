"""`formcast serve`: the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Lake
from jobs.commands.programs import become


def serve(
    lake: Lake = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (FORMCAST_HOST; 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (FORMCAST_PORT; 8000).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer (FORMCAST_WORKERS; 2).")] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open", help="Development only: reading and scoring need no key, on a loopback address."),
    ] = None,
) -> None:
    """Serve scores over HTTP until Ctrl-C or SIGTERM; SIGHUP replaces the workers one by one. See docs/api.md."""
    become("speed.api", lake=lake, host=host, port=port, workers=workers, api_open=open_)
