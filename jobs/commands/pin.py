"""Hold what is answered from to one generation, whatever is published: the API follows within seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.options import Lake, settings_with
from jobs.edge.files import scratch
from jobs.errors import FormcastError, MissingError
from speed.errors import StoreError, StoreMissingError
from speed.generations import PIN, Generations
from speed.sources import generations_below

if TYPE_CHECKING:
    from speed.stores.dynamodb_index import DynamoIndex


def generations(lake: Lake = None) -> None:
    """List the serving generations that are kept, newest first, and which of them is live."""
    found = _generations(lake)
    for manifest in found.all():
        marks = [word for word, name in _pointers(found).items() if name == manifest.generation]
        told = f"  {', '.join(marks)}" if marks else ""
        typer.echo(f"{manifest.generation}  {manifest.count:,} scores by {manifest.model_version}{told}")


def pin(
    generation: Annotated[str, typer.Argument(help="The generation to answer from (`formcast generations`).")],
    lake: Lake = None,
) -> None:
    """Answer from one generation until `formcast unpin`; nights go on publishing, and nobody sees it."""
    found = _generations(lake)
    try:
        if generation not in {manifest.generation for manifest in found.kept()}:
            raise MissingError(
                f"There is no generation {generation!r}: `formcast generations` lists those there are."
            )
        found.open(generation).close()
        if table := _in_dynamodb(lake):
            table.point(PIN, generation)
        found.point(PIN, generation)
    except StoreError as error:
        raise FormcastError(f"{error} It was not pinned.") from error
    typer.echo(f"Answers come from {generation} until `formcast unpin`.")


def unpin(lake: Lake = None) -> None:
    """Answer from what was published last again."""
    found = _generations(lake)
    try:
        if table := _in_dynamodb(lake):
            table.unpin()
        found.unpin()
    except StoreError as error:
        raise FormcastError(f"{error} The pin is still there.") from error
    typer.echo(f"Answers come from what was published last: {_pointers(found)['current']}.")


def _generations(lake: str | None) -> Generations:
    return generations_below(f"{settings_with(lake=lake).lake}/serving", scratch())


def _in_dynamodb(lake: str | None) -> DynamoIndex | None:
    """The table beside the lake, where the settings name one: a pin holds in both."""
    table = settings_with(lake=lake).dynamodb_table
    if not table:
        return None
    from speed.stores.dynamodb_index import DynamoIndex

    return DynamoIndex(table)


def _pointers(found: Generations) -> dict[str, str | None]:
    try:
        return {"pinned": found.pinned(), "current": found.current_name()}
    except StoreMissingError as error:
        raise MissingError(f"{error} Run `make run` first, or name another lake with --lake.") from error
