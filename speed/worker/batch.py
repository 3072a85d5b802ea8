"""One batch of messages: each is answered, refused, or left to come again; none is lost on the way.

The order makes it safe to die between any two calls: answers are kept, then sent, and only then are the messages
deleted. What comes again finds its answer kept, and sends that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from speed.errors import SpeedError
from speed.live import Live
from speed.worker.answer import answer
from speed.worker.job import Job, Rules
from speed.worker.memory import Kept, Memory
from speed.worker.queues import Message, Outlet, Reply, RequestQueue
from speed.worker.request import RefusedError

log = logging.getLogger("formcast.worker")


class Tally(NamedTuple):
    """What became of a batch. repeated: of those answered, how many with an answer that an earlier try kept."""

    answered: int
    repeated: int
    refused: int
    failed: int


class Batches:
    """Answers batches. Shared by threads."""

    def __init__(self, queue: RequestQueue, outlet: Outlet, memory: Memory, live: Live, rules: Rules) -> None:
        self._queue, self._outlet, self._memory, self._live, self._rules = queue, outlet, memory, live, rules

    def handle(self, messages: Sequence[Message]) -> Tally:
        """What fails is left to come again, and logged: this raises nothing."""
        jobs = [Job(message) for message in messages]
        for job in jobs:
            with _failing([job]):
                self._rules.read(job)
        asked = [job for job in jobs if job.request is not None]
        with _failing(asked):
            self._recall(asked)
        new = [job for job in asked if job.stands and job.text is None]
        for job in new:
            with _failing([job]):
                _compute(job, self._live)
        new = [job for job in new if job.stands]
        with _failing(new):
            self._keep(new)
        told = [job for job in jobs if job.text is not None and job.failed is None]
        with _failing(told):
            self._send(told)
        for job in jobs:
            if not job.stands:
                self._bury(job)
        ended = [job for job in jobs if job.failed is None]
        with _failing(ended):
            self._delete(ended)
        answered, failed = [job for job in jobs if job.stands], [job for job in jobs if job.failed is not None]
        self._leave(failed)
        repeated = sum(job.repeated for job in answered)
        return Tally(len(answered), repeated, len(jobs) - len(answered) - len(failed), len(failed))

    def _recall(self, jobs: Sequence[Job]) -> None:
        kept = self._memory.get_many([str(job.request_id) for job in jobs])
        for job in jobs:
            if job.request_id in kept:
                _take(job, kept[job.request_id])
                job.repeated = True

    def _keep(self, jobs: Sequence[Job]) -> None:
        kept = self._memory.keep([Kept(str(job.request_id), job.digest, str(job.text)) for job in jobs])
        for job in jobs:
            _take(job, kept[str(job.request_id)])  # another worker may have been first

    def _send(self, jobs: Sequence[Job]) -> None:
        failures = self._outlet.send([Reply(job.place, str(job.request_id), str(job.text)) for job in jobs])
        for at, failure in failures.items():
            if failure.lasting and jobs[at].place != self._rules.reply_place:
                jobs[at].refused = jobs[at].refused or failure.sentence  # no try finds the queue that it named
            else:
                jobs[at].failed = failure.sentence

    def _bury(self, job: Job) -> None:
        """Put what is refused, or failed too often, into the dead-letter queue; the job then counts as refused."""
        if job.failed is not None:
            if job.message.receives < self._rules.max_receives:
                return
            tries = f"It failed {job.message.receives} times, the last time so: {job.failed}"
            job.refused, job.failed = job.refused or tries, None
        with _failing([job]):
            self._queue.bury(job.message, str(job.refused), job.request_id)
            _log(logging.WARNING, "refused", job, str(job.refused))

    def _delete(self, jobs: Sequence[Job]) -> None:
        for reason in self._queue.delete([job.message for job in jobs]):
            log.warning("A message was not deleted, and will be answered again, alike: %s", reason)

    def _leave(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            _log(logging.WARNING, "failed", job, str(job.failed))
            with _failing([]):  # where this fails as well, the message comes again when its time ends
                self._queue.hide([job.message], self._rules.wait(job.message))


@contextmanager
def _failing(jobs: Sequence[Job]) -> Iterator[None]:
    """Mark jobs as failed where what is done for them fails. An unforeseen error is logged with its trace."""
    try:
        yield
    except SpeedError as error:
        reason = str(error)
    except Exception as error:
        log.exception("Something unexpected went wrong with %d messages.", len(jobs))
        reason = f"Something unexpected went wrong ({type(error).__name__})."
    else:
        return
    for job in jobs:
        job.failed = reason


def _compute(job: Job, live: Live) -> None:
    try:
        job.text = answer(job.request, live) if job.request is not None else None
    except RefusedError as error:
        job.refuse(str(error))


def _take(job: Job, kept: Kept) -> None:
    if kept.of == job.digest:
        job.text = kept.text
    else:
        job.refuse(f"The request_id {job.request_id!r} has been used for another request: take a new one.")


def _log(level: int, event: str, job: Job, reason: str) -> None:
    known = {"request_id": job.request_id, "message_id": job.message.message_id, "receives": job.message.receives}
    log.log(level, event, extra={"facts": known | {"reason": reason}})
