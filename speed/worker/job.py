"""A message on its way through a worker, and the rules that the settings set for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from speed.settings import ServeSettings
from speed.worker.answer import refusal
from speed.worker.queues import Message
from speed.worker.request import RefusedError, Request, read_request

MOST_WAIT = 900


@dataclass
class Job:
    """It ends answered, refused (no try can help), or failed (a later try may).

    place: where its answer goes, empty for nowhere. text: the answer. repeated: an earlier try kept it.
    """

    message: Message
    request_id: str | None = None
    request: Request | None = None
    place: str = ""
    text: str | None = None
    repeated: bool = False
    refused: str | None = None
    failed: str | None = None

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.message.body.encode()).digest()

    @property
    def stands(self) -> bool:
        return self.refused is None and self.failed is None

    def refuse(self, sentence: str) -> None:
        """Its sender is told, where it is known who that is."""
        self.refused = sentence
        self.text = refusal(self.request_id, sentence) if self.request_id and self.place else None


class Rules(NamedTuple):
    """What the settings say. reply_place: where answers go to requests that name no queue, empty for nowhere.

    siblings: how URLs of queues of the same account and region start; requests may name no others, and none `taken`.
    """

    max_vectors: int
    max_receives: int
    retry_seconds: float
    reply_place: str
    siblings: str
    taken: frozenset[str]

    @classmethod
    def of(cls, settings: ServeSettings) -> Rules:
        return cls(
            settings.max_vectors,
            settings.max_receives,
            settings.retry_seconds,
            settings.reply_topic or settings.reply_queue,
            settings.request_queue.rpartition("/")[0] + "/",
            frozenset({settings.request_queue, settings.dead_letter_queue}),
        )

    def read(self, job: Job) -> None:
        """Read the job's message; one that cannot be answered is refused."""
        if job.message.receives > self.max_receives:
            # What kills its worker shall not kill one after the other: it is not even looked at.
            job.refuse(f"It was delivered {job.message.receives} times, and no worker lived to answer it.")
            return
        job.place = self.reply_place
        try:
            request = read_request(job.message.body, self.max_vectors)
        except RefusedError as error:
            job.request_id = error.request_id
            if error.reply_to is not None and self._may_reply(error.reply_to):
                job.place = error.reply_to
            job.refuse(str(error))
            return
        job.request_id = request.request_id
        if request.reply_to is not None:
            if not self._may_reply(request.reply_to):
                job.refuse("The reply_to must be another queue's URL, of the account and region of the requests.")
                return
            job.place = request.reply_to
        if not job.place:
            job.refuse("There is nowhere to answer: name a reply_to, or set FORMCAST_REPLY_QUEUE.")
            return
        job.request = request

    def wait(self, message: Message) -> int:
        """Seconds until a message that failed may be tried again: twice as long each time."""
        return int(min(self.retry_seconds * 2 ** (message.receives - 1), MOST_WAIT))

    def _may_reply(self, place: str) -> bool:
        return place.startswith(self.siblings) and place not in self.taken
