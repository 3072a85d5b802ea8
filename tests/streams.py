"""What tests of the stream share: events, a stream as the command makes it, and what it left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.edge.tables import Tables
from jobs.stream.batch import Outcome
from jobs.stream.run import Stream
from jobs.stream.sources import SOURCES
from speed.contract import N_FEATURES
from speed.live import Live
from speed.settings import ServeSettings
from speed.sources import open_sources

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ZEROS = "-".join(["0"] * N_FEATURES)


def line(form_id: str, views: int, first: float = 0.0) -> str:
    """A packed line of a form that the small model of `generations` gives the rate .2 + .01 * first."""
    return f"{form_id},0,{views},{first}{ZEROS[1:]}"


def drop(folder: Path, name: str, *lines: str) -> None:
    """Move a file into a streamed folder, whole."""
    part = folder / f".{name}"
    part.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8", errors="surrogateescape")
    part.rename(folder / name)


@contextmanager
def stream(
    spark: SparkSession, lake: str, kind: str, place: Path | str, name: str = "s"
) -> Iterator[tuple[Stream, list[Outcome]]]:
    """A stream, and what it tells of its batches."""
    settings = ServeSettings(lake=lake)
    told: list[Outcome] = []
    with closing(Live(*open_sources(settings))) as live:
        events = SOURCES[kind](spark, str(place))
        yield (
            Stream(name, events, settings, live, lambda _, one, __: told.append(one), in_parts=kind == "kinesis"),
            told,
        )


def caught_up(
    spark: SparkSession, lake: str, kind: str, place: Path | str, name: str = "s"
) -> list[tuple[int, int, int]]:
    """(accepted, refused, stored) of each batch of what was there."""
    with stream(spark, lake, kind, place, name) as (streaming, told):
        streaming.catch_up()
    return [(each.accepted, each.refused, each.stored) for each in told if each.accepted or each.refused]


def stored(lake: str, *form_ids: str) -> dict[str, tuple[int, float, str]]:
    """Views, predicted rate and generation of streamed forms."""
    with closing(open_sources(ServeSettings(lake=lake))[1]) as realtime:
        found = realtime.get_many(form_ids)
    return {id_: (one.views, round(one.predicted_rate, 6), one.generation) for id_, one in found.items()}


def rejected(lake: str) -> list[tuple[Any, ...]]:
    """Every refused payload, in order, without the time."""
    sql = "select line, reasons, source_file, columns, run_id, replayed_by from rejected_forms order by line"
    return [tuple(row.values()) for row in Tables(lake).query(sql, "rejected_forms")]
