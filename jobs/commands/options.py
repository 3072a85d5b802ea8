"""Options that many commands share, and the settings they make."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from jobs.errors import UsageError
from jobs.settings import Settings

RunId = Annotated[str, typer.Option("--run-id", envvar="FORMCAST_RUN_ID", help="The run that the step belongs to.")]
Lake = Annotated[str | None, typer.Option("--lake", help="Folder of the tables (FORMCAST_LAKE; ./lake).")]
Columns = Annotated[str | None, typer.Option("--columns", help="Order of the columns of a line.")]
Layout = Annotated[str | None, typer.Option("--layout", help="auto, packed or wide.")]


def settings_with(**flags: Any) -> Settings:
    """Settings from the environment, with the flags that were given on top. Raises UsageError for a bad value."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"The setting {name} (FORMCAST_{name.upper()}) cannot be {first['input']!r}: {first['msg'].lower()}."
        ) from error
