"""The stream's loop: batches as they come in, each answered for before the next, until it is told to stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobs.edge.files import LakeFiles
from jobs.edge.rejected import REJECTED
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from jobs.stream.batch import Outcome, quarantine, run_batch
from jobs.stream.tasks import StreamPlan
from speed.live import Live
from speed.settings import ServeSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming import StreamingQuery

CHECKPOINTS = "_checkpoints"
LOOK_SECONDS = 0.2
_OWN_ERROR = re.compile(r"\b(?:speed|jobs)\.[\w.]+Error: (.+)")

Tell = Callable[[int, Outcome, str], None]
"""Is told a batch's number, what became of it, and the generation whose model scored it."""


@dataclass
class Stream:
    """A named stream of events into the realtime store. Its name is that of its checkpoint: where it goes on.

    in_parts: the source does not know what "all that is there now" is, and hands out a part at a time.
    """

    name: str
    events: DataFrame
    settings: ServeSettings
    live: Live
    tell: Tell
    in_parts: bool = False

    def __post_init__(self) -> None:
        self._taken = 0
        self._stop_at: int | None = None
        self._last: Outcome | None = None
        self._tables = Tables(self.settings.lake)
        self._tables.create(REJECTED)

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stop_at = self._taken

    def follow(self, every: str) -> None:
        """Take batches until `stop`; every: of Spark's time, such as "5 seconds"."""
        self._wait(self._start(processingTime=every))

    def catch_up(self) -> None:
        """Take all that is there now, and end. A source in parts is asked until all its events are newer than that:
        one shard may be at its end while another has a day to tell.
        """
        began, more = time.time(), True
        while more and self._stop_at is None:
            self._last = None
            self._wait(self._start(availableNow=True))
            more = self.in_parts and self._last is not None and (self._last.oldest or 0) < began

    def _start(self, **trigger: str | bool) -> StreamingQuery:
        checkpoint = f"{self.settings.lake}/{CHECKPOINTS}/{self.name}"
        writer = self.events.writeStream.queryName(self.name).foreachBatch(self._take)
        return writer.option("checkpointLocation", checkpoint).trigger(**trigger).start()

    def _take(self, events: DataFrame, batch_id: int) -> None:
        """A batch again after a crash leaves what one run of it would have left."""
        self.live.look()
        generation = self.live.now().manifest.generation
        partition = f"stream-{self.name}"
        folder = LakeFiles(self.settings.lake).place(REJECTED)
        outcome = run_batch(events, StreamPlan(self.settings, generation, folder, partition, f"stream {self.name}"))
        # The query's own id, which a new checkpoint changes: batches count from zero again then.
        query_id = events.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        quarantine(self._tables, outcome, partition, f"formcast-stream-{query_id}", batch_id)
        self._taken, self._last = self._taken + 1, outcome
        self.tell(batch_id, outcome, generation)

    def _wait(self, query: StreamingQuery) -> None:
        """Until the query ends, or `stop` and then the end of its batch. Raises FormcastError for what ended it."""
        try:
            while not query.awaitTermination(LOOK_SECONDS):
                if self._stop_at is None:
                    continue
                # Where batches follow one another without a pause, there is no good moment: any will do.
                if not query.status["isTriggerActive"] or self._taken > self._stop_at + 1:
                    return
        except Exception as error:
            raise FormcastError(f"Stream {self.name} stopped: {_sentence(str(error))}") from error
        finally:
            query.stop()


def lag_seconds(outcome: Outcome) -> float:
    """How long the batch's oldest event had waited until now."""
    return datetime.now(UTC).timestamp() - outcome.oldest if outcome.oldest is not None else 0.0


def _sentence(trace: str) -> str:
    """What one of our own errors says within Spark's trace, else the trace's first line."""
    found = _OWN_ERROR.search(trace)
    return found[1] if found else next(iter(trace.splitlines()), "no message")[:500]
