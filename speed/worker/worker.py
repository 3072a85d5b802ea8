"""The worker: threads that receive and answer batches, one that looks for new generations, and an orderly end."""

from __future__ import annotations

import logging
import threading
import time

from speed.errors import SpeedError
from speed.live import Live
from speed.worker.batch import Batches
from speed.worker.heartbeat import Heartbeat
from speed.worker.queues import RequestQueue

MOST_PAUSE = 60.0
log = logging.getLogger("formcast.worker")


class Worker:
    """Runs until `stop`. Batches in hand are then finished; no new ones are begun."""

    def __init__(self, queue: RequestQueue, batches: Batches, live: Live, heartbeat: Heartbeat, pause: float) -> None:
        """pause: seconds to wait after a failure, doubled by each that follows."""
        self._queue, self._batches, self._live, self._heartbeat = queue, batches, live, heartbeat
        self._pause = pause
        self._stopping = threading.Event()
        self._change = threading.Condition()
        self._in_hand = 0

    def run(self, threads: int, watch_seconds: float, stop_seconds: float) -> bool:
        """Work until `stop`; whether all that was in hand was finished within `stop_seconds` of it."""
        self._live.look()
        for number in range(threads):
            # Daemons: one that waits for messages must not hold up the end for the length of a poll.
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True).start()
        while not self._stopping.wait(watch_seconds):
            self._live.look()
        with self._change:
            finished = self._change.wait_for(lambda: not self._in_hand, stop_seconds)
        self._heartbeat.stop()
        return finished

    def stop(self) -> None:
        self._stopping.set()

    def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if self._live.generation is None:  # with nothing to answer from, messages are left where they are
                self._stopping.wait(1)
                continue
            try:
                failures = failures + 1 if self._batch() else 0
            except SpeedError as error:
                log.warning("No messages were taken: %s", error)
                failures += 1
            except Exception:  # a thread that ends would be missed by nobody
                log.exception("Something unexpected went wrong.")
                failures += 1
            if failures:
                self._stopping.wait(min(self._pause * 2 ** min(failures - 1, 16), MOST_PAUSE))

    def _batch(self) -> bool:
        """Receive and handle a batch; whether all of it failed, as where a store is down."""
        messages = self._queue.receive()
        if not messages:
            return False
        with self._change:
            self._in_hand += 1
        try:
            if self._stopping.is_set():  # the end came during the poll: others may have them at once
                self._queue.hide(messages, 0)
                return False
            start = time.monotonic()
            with self._heartbeat.holding(messages):
                tally = self._batches.handle(messages)
            facts = {**tally._asdict(), "seconds": round(time.monotonic() - start, 4)}
            log.info("batch", extra={"facts": facts})
            return tally.failed == len(messages)
        finally:
            with self._change:
                self._in_hand -= 1
                self._change.notify_all()
