"""`formcast stream`: new and changed forms are scored as they come in."""

from __future__ import annotations

import hashlib
import re
import signal
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jobs.commands.options import Lake, settings_with
from jobs.errors import FormcastError, MissingError, UsageError

if TYPE_CHECKING:
    from jobs.stream.batch import Outcome
    from speed.live import Live
    from speed.settings import ServeSettings

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes"}


def stream(  # noqa: PLR0917  (options, which typer passes by name)
    source: Annotated[Literal["folder", "delta", "kinesis"], typer.Option(help="Where events come from.")],
    path: Annotated[str, typer.Option(help="The folder that files are moved into, or the Delta table.")] = "",
    kinesis: Annotated[str, typer.Option("--stream", help="The Kinesis stream (FORMCAST_STREAM).")] = "",
    lake: Lake = None,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, and end.")] = False,
    every: Annotated[str, typer.Option(help="How often to look for new events: 500ms, 5s, 1m.")] = "5s",
    name: Annotated[str, typer.Option(help="Goes on where the stream of this name ended. Made of the source.")] = "",
) -> None:
    """Score new and changed forms as they come in, each event once. Ctrl-C ends it after the batch under way."""
    from jobs.edge.lock import only_holder
    from jobs.edge.places import in_s3
    from jobs.edge.session import start_spark
    from jobs.runner import clean_run_id
    from jobs.stream.run import CHECKPOINTS, Stream
    from jobs.stream.sources import SOURCES

    settings = settings_with(lake=lake)
    serve = _serve_settings(settings.lake)
    if in_s3(settings.lake) and not serve.dynamodb_table:
        raise UsageError(
            "A lake in S3 has readers on many machines: name a table for streamed scores, FORMCAST_DYNAMODB_TABLE."
        )
    place = (kinesis or serve.stream) if source == "kinesis" else path
    if not place:
        wanted = "--stream NAME" if source == "kinesis" else "--path PATH"
        raise UsageError(f"A stream from {source} needs {wanted}.")
    trigger = _interval(every)
    name = clean_run_id(name) or _name_of(source, place)
    # Spark's workers share it, and are ended before they could clean up.
    cache = tempfile.TemporaryDirectory(prefix="formcast-stream-")
    serve = serve.model_copy(update={"cache": serve.cache or cache.name})
    with cache, closing(_live(serve)) as live:
        busy = f"Stream {name} runs already: two would take the same events. End it, or give this one a --name."
        with only_holder(_folder_of_locks(settings.lake, CHECKPOINTS) / f".{name}.lock", busy):
            events = SOURCES[source](start_spark(settings, f"formcast stream {name}"), place)
            streaming = Stream(name, events, serve, live, _tell, in_parts=source == "kinesis")
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: streaming.stop())
            typer.echo(f"Stream {name}: {place} -> {settings.lake}. Ctrl-C ends it.")
            streaming.catch_up() if once else streaming.follow(trigger)
    typer.echo(f"Stream {name} ended." if once else f"Stream {name} ended; it goes on under this name.")


def _folder_of_locks(lake: str, checkpoints: str) -> Path:
    """Beside the checkpoints; for a lake in S3, which locks nothing, on this machine."""
    from jobs.edge.places import in_s3

    if not in_s3(lake):
        return Path(lake) / checkpoints
    return Path(tempfile.gettempdir()) / f"formcast-streams-{hashlib.sha256(lake.encode()).hexdigest()[:12]}"


def _serve_settings(lake: str) -> ServeSettings:
    from speed.errors import SpeedError
    from speed.settings import ServeSettings, read_settings

    try:
        return read_settings(ServeSettings).model_copy(update={"lake": lake})
    except SpeedError as error:
        raise UsageError(str(error)) from error


def _live(settings: ServeSettings) -> Live:
    """What the stream scores with. Raises MissingError if nothing is published, else FormcastError."""
    from speed.errors import SpeedError, StoreMissingError
    from speed.live import Live
    from speed.sources import open_sources

    try:
        live = Live(*open_sources(settings))
        live.generations.live_name()
        live.look()
        live.now()
    except StoreMissingError as error:
        raise MissingError(f"{error} Run `make run` first, or name another lake with --lake.") from error
    except SpeedError as error:
        raise FormcastError(f"{error} Start the stream again when that is fixed.") from error
    return live


def _tell(batch_id: int, outcome: Outcome, generation: str) -> None:
    from jobs.stream.run import lag_seconds

    counts = f"{outcome.accepted:,} accepted, {outcome.refused:,} refused, {outcome.stored:,} stored"
    typer.echo(f"batch {batch_id}: {counts}, lag {lag_seconds(outcome):.1f} s, by {generation}")


def _interval(every: str) -> str:
    """Spark's words for a time such as 500ms, 5s or 1m. Raises UsageError for another text."""
    found = re.fullmatch(r"(\d{1,6})(ms|s|m)", every)
    if found is None:
        raise UsageError(f"--every cannot be {every!r}: it is a time such as 500ms, 5s or 1m.")
    return f"{found[1]} {_UNITS[found[2]]}"


def _name_of(source: str, place: str) -> str:
    """A name for a stream that has none: its source, the end of its place, and a digest of the whole place."""
    whole = place if source == "kinesis" or "://" in place else str(Path(place).absolute())
    end = re.sub(r"[^A-Za-z0-9_]+", "-", Path(whole).name)[:40]
    return f"{source}-{end}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"
