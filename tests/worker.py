"""A queue worker's parts on queues of their own, and both ends of them for its tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from speed.generations import Generations
from speed.live import Live
from speed.settings import ServeSettings
from speed.stores.realtime import LmdbRealtime
from speed.worker.batch import Batches, Tally
from speed.worker.job import Rules
from speed.worker.memory import LmdbMemory, Memory
from speed.worker.queues import Outlet, RequestQueue, client
from tests.generations import many_forms, publish_generation

FORMS = many_forms(20)
PACKED = "-".join(["0.5"] * 47)
URLS = {"request_queue": "requests", "reply_queue": "replies", "dead_letter_queue": "dead"}
NewDesk = Callable[..., "Desk"]


class Desk:
    """A worker's parts on queues of their own, and both ends of them for the test."""

    def __init__(self, lake: Path, memory: Memory | None = None, **settings: Any) -> None:
        self.sqs = boto3.client("sqs")
        names = URLS | {key: value for key, value in settings.items() if key in URLS}
        self.url = {
            key: self.sqs.create_queue(QueueName=name, Attributes=fifo(name))["QueueUrl"]
            for key, name in names.items()
        }
        self.settings = ServeSettings(lake=str(lake), **(settings | self.url))
        serving = Path(self.settings.serving)
        self.live = Live(Generations(serving), LmdbRealtime(serving))
        self.memory = memory or LmdbMemory(serving, 3600)
        self.queue = RequestQueue(
            client("sqs", 4),
            self.url["request_queue"],
            self.url["dead_letter_queue"],
            self.settings.visibility_seconds,
        )
        self.outlet = Outlet(client("sqs", 4), client("sns", 4))
        self.live.look()

    @property
    def batches(self) -> Batches:
        return Batches(self.queue, self.outlet, self.memory, self.live, Rules.of(self.settings))

    def send(self, *bodies: dict[str, Any] | str) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.sqs.send_message(QueueUrl=self.url["request_queue"], MessageBody=text)

    def work(self) -> Tally:
        """Handle what is there at once."""
        return self.batches.handle(self.queue.receive(wait=0))

    def taken(self, queue: str) -> list[dict[str, Any]]:
        """What is in a queue: the messages, which are then deleted."""
        url = self.url.get(queue, queue)
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages"):
            found += batch
            for each in batch:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return found

    def replies(self) -> list[dict[str, Any]]:
        return [json.loads(each["Body"]) for each in self.taken("reply_queue")]

    def dead(self) -> list[tuple[str, str]]:
        """Body and reason of what is in the dead-letter queue."""
        return [
            (each["Body"], each["MessageAttributes"]["reason"]["StringValue"])
            for each in self.taken("dead_letter_queue")
        ]

    def close(self) -> None:
        self.live.close()
        self.memory.close()


@contextmanager
def desks(lake: Path) -> Iterator[NewDesk]:
    """`new_desk(reply_queue="replies.fifo", ...)` on a lake with the live generation `g1` of FORMS."""
    publish_generation(lake / "serving", "g1", FORMS)
    made: list[Desk] = []

    def new(**settings: Any) -> Desk:
        made.append(Desk(lake, **settings))
        return made[-1]

    yield new
    for desk in made:
        desk.close()


def publish(desk: Desk, name: str, slope: float) -> None:
    publish_generation(Path(desk.settings.serving), name, FORMS, slope=slope)
    desk.live.look()


def fifo(name: str) -> dict[str, str]:
    return {"FifoQueue": "true"} if name.endswith(".fifo") else {}
