"""`formcast keys`: who may ask the API for what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import Lake
from jobs.errors import MissingError, UsageError
from speed.api.keys import SCOPES, add_key, read_keys, revoke_key
from speed.settings import ServeSettings, read_settings

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys; servers follow within seconds.")
File = Annotated[str | None, typer.Option("--file", help="File of keys (FORMCAST_KEYS_FILE; serving/keys.json).")]


@app.command()
def add(
    scopes: Annotated[str, typer.Option(help="Comma-separated: read, score, retrain.")] = "read,score",
    note: Annotated[str, typer.Option(help="Whose it is, or what for.")] = "",
    lake: Lake = None,
    file: File = None,
) -> None:
    """Make a key and print it: once, for only its hash is kept."""
    asked = {name.strip() for name in scopes.split(",")}
    if unknown := sorted(asked.difference(SCOPES)):
        raise UsageError(f"There is no scope {unknown[0]!r}: there are {', '.join(SCOPES)}.")
    typer.echo(add_key(_path(lake, file), [scope for scope in SCOPES if scope in asked], note))


@app.command(name="list")
def list_keys(lake: Lake = None, file: File = None) -> None:
    """List the keys: id, scopes, since when, and the note."""
    for key in read_keys(_path(lake, file)):
        typer.echo(f"{key.id}  {key.created_at:%Y-%m-%d %H:%M}  {','.join(key.scopes):18}  {key.note}".rstrip())


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, the part between the first underscores.")],
    lake: Lake = None,
    file: File = None,
) -> None:
    """Make a key invalid."""
    if not revoke_key(_path(lake, file), key_id):
        raise MissingError(f"There is no key {key_id!r}: `formcast keys list` shows those that there are.")


def _path(lake: str | None, file: str | None) -> Path:
    settings = read_settings(ServeSettings, lake=lake, keys_file=file)
    if "://" in str(settings.lake) and not settings.keys_file:
        raise UsageError("The lake is in S3, and keys are a file of this machine: --file, or FORMCAST_KEYS_FILE.")
    return settings.keys_path
