"""What every route needs, made once a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from speed.api import problems
from speed.api.keys import Keys
from speed.api.metrics import Metrics
from speed.api.problems import ProblemError
from speed.api.retraining import Airflow
from speed.live import Live
from speed.settings import ServeSettings

Answer = TypeVar("Answer")
LONG_TASKS = 2
"""So many batches, lists of ids and explanations are worked on at once: the event loop must keep its share."""
LARGE_BODIES = 8
"""So many large bodies are in memory at once; other requests wait with theirs unread."""
BODY_SECONDS = 30.0
"""So long may a large body take to come, or others would wait for a client that is gone."""


@dataclass(frozen=True)
class Service:
    settings: ServeSettings
    live: Live
    keys: Keys
    metrics: Metrics
    airflow: Airflow
    _bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_BODIES))
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LONG_TASKS))

    @property
    def stores_are_remote(self) -> bool:
        """Whether a look-up waits for a network, and must not hold up the event loop."""
        return self.settings.store != "lmdb"

    @asynccontextmanager
    async def large_body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, one of the few large ones in memory at once. Raises ProblemError where it comes too slowly."""
        async with self._bodies:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await request.body()
            except TimeoutError as error:
                sentence = f"The body did not come within {BODY_SECONDS:.0f} s: send it faster, or in parts."
                raise ProblemError(problems.TOO_SLOW, sentence) from error
            yield body

    async def in_thread(self, work: Callable[[], Answer]) -> Answer:
        """Long work, beside the event loop; few at once."""
        async with self._slots:
            return await asyncio.to_thread(work)


def service_of(request: Request) -> Service:
    service: Service = request.scope["app"].state.service
    return service
