"""Keeps the messages in hand hidden from other workers for as long as they take."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from speed.errors import SpeedError
from speed.worker.queues import Message, RequestQueue

log = logging.getLogger("formcast.worker")


class Heartbeat:
    """One thread for all messages in hand: hides them on, well before their time ends."""

    def __init__(self, queue: RequestQueue, every: float) -> None:
        """every: seconds between two beats, a third of the queue's visibility."""
        self._queue, self._every = queue, every
        self._held: dict[str, Message] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    @contextmanager
    def holding(self, messages: Sequence[Message]) -> Iterator[None]:
        receipts = [message.receipt for message in messages]
        with self._lock:
            self._held.update(zip(receipts, messages, strict=True))
        try:
            yield
        finally:
            with self._lock:
                for receipt in receipts:
                    self._held.pop(receipt, None)

    def stop(self) -> None:
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._every):
            with self._lock:
                held = list(self._held.values())
            try:
                failed = self._queue.hide(held) if held else []
            except SpeedError as error:
                failed = [str(error)]
            with self._lock:
                # What ended in the meantime could not be hidden, and need not be.
                left = [message for message in held if message.receipt in self._held]
            if failed and left:  # the next beat tries again; a message that shows itself is answered twice, and alike
                log.warning("%d of %d messages in hand are not hidden on: %s", len(failed), len(held), failed[0])
