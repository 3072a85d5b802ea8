"""Requests in from SQS, answers out to SQS or SNS, and a queue for what no try can answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from speed.stores.aws import plain_errors

# What AWS takes in one call.
MOST_MESSAGES, MOST_BYTES = 10, 256 << 10
POLL_SECONDS = 20

_GONE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


class Message(NamedTuple):
    """receipt: what this delivery is called by. receives: how many deliveries there were, with this one."""

    message_id: str
    receipt: str
    body: str
    receives: int


class Reply(NamedTuple):
    """An answer to send. to: URL of a queue, or ARN of a topic."""

    to: str
    request_id: str
    text: str


class Failure(NamedTuple):
    """Why a reply was not sent. lasting: no later try can send it."""

    sentence: str
    lasting: bool


def client(service: str, connections: int) -> Any:
    """A client of AWS for this many threads; a call that gets no answer ends within a minute or so."""
    config = Config(
        connect_timeout=5,
        read_timeout=POLL_SECONDS + 10,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    with plain_errors(f"AWS ({service})"):
        return boto3.client(service, config=config)


class RequestQueue:
    """The queue of requests and the dead-letter queue beside it, for many threads.

    Raises StoreError or ThrottledError where a call fails as a whole.
    """

    def __init__(self, sqs: Any, url: str, dead_letters: str, visibility: int) -> None:
        """visibility: seconds for which `receive` and `hide` hide a message from others."""
        self._sqs, self._url, self._dead_letters, self._visibility = sqs, url, dead_letters, visibility

    def receive(self, wait: int = POLL_SECONDS) -> list[Message]:
        """Up to ten messages, after `wait` seconds none."""
        with plain_errors(f"The queue {self._url}"):
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MOST_MESSAGES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=self._visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        return [
            Message(
                one["MessageId"], one["ReceiptHandle"], one["Body"], int(one["Attributes"]["ApproximateReceiveCount"])
            )
            for one in answer.get("Messages", [])
        ]

    def delete(self, messages: Sequence[Message]) -> list[str]:
        """Delete messages; why some were not, which will be delivered again."""
        return self._each("delete_message_batch", messages, {})

    def hide(self, messages: Sequence[Message], seconds: int | None = None) -> list[str]:
        """Hide messages for so many seconds from now, by default as long as `receive` does; why some were not."""
        seconds = self._visibility if seconds is None else seconds
        return self._each("change_message_visibility_batch", messages, {"VisibilityTimeout": seconds})

    def bury(self, message: Message, reason: str, request_id: str | None) -> None:
        """Put a copy into the dead-letter queue, with the reason; `delete` is the caller's next call."""
        known = {"reason": reason, "message_id": message.message_id, "receives": str(message.receives)}
        known |= {"request_id": request_id} if request_id else {}
        with plain_errors(f"The queue {self._dead_letters}"):
            self._sqs.send_message(
                QueueUrl=self._dead_letters,
                MessageBody=message.body,
                MessageAttributes=_attributes(known),
                **_ordered(self._dead_letters, message.message_id),
            )

    def _each(self, call: str, messages: Sequence[Message], more: dict[str, Any]) -> list[str]:
        failed = []
        for start in range(0, len(messages), MOST_MESSAGES):
            part = messages[start : start + MOST_MESSAGES]
            entries = [{"Id": str(at), "ReceiptHandle": each.receipt, **more} for at, each in enumerate(part)]
            with plain_errors(f"The queue {self._url}"):
                answer = getattr(self._sqs, call)(QueueUrl=self._url, Entries=entries)
            failed += [_why(failure) for failure in answer.get("Failed", [])]
        return failed


class Outlet:
    """Sends replies to queues and topics. Shared by threads."""

    def __init__(self, sqs: Any, sns: Any) -> None:
        self._sqs, self._sns = sqs, sns

    def send(self, replies: Sequence[Reply]) -> dict[int, Failure]:
        """Send each reply; the failures, by position."""
        by_place: dict[str, list[int]] = defaultdict(list)
        for at, reply in enumerate(replies):
            by_place[reply.to].append(at)
        failures: dict[int, Failure] = {}
        for to, positions in by_place.items():
            for part in _parts(positions, [len(reply.text.encode()) for reply in replies]):
                try:
                    failed = self._publish(to, {str(at): replies[at] for at in part})
                    failures |= {int(each["Id"]): Failure(_why(each), lasting=False) for each in failed}
                except ClientError as error:
                    gone = error.response.get("Error", {}).get("Code") in _GONE
                    failures |= dict.fromkeys(part, Failure(f"{to} took no answer: {error}", lasting=gone))
                except BotoCoreError as error:
                    failures |= dict.fromkeys(part, Failure(f"{to} took no answer: {error}", lasting=False))
        return failures

    def _publish(self, to: str, replies: dict[str, Reply]) -> list[dict[str, Any]]:
        """Send up to ten to one place; what failed, as AWS says it."""
        topic = to.startswith("arn:")
        entries = [
            {
                "Id": at,
                "Message" if topic else "MessageBody": reply.text,
                "MessageAttributes": _attributes({"request_id": reply.request_id}),
                **_ordered(to, reply.request_id),
            }
            for at, reply in replies.items()
        ]
        if topic:
            answer = self._sns.publish_batch(TopicArn=to, PublishBatchRequestEntries=entries)
        else:
            answer = self._sqs.send_message_batch(QueueUrl=to, Entries=entries)
        failed: list[dict[str, Any]] = answer.get("Failed", [])
        return failed


def _parts(positions: Iterable[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Positions in groups that fit into one call each."""
    part: list[int] = []
    room = MOST_BYTES
    for at in positions:
        needed = sizes[at] + 512  # the attribute takes some, too
        if part and (needed > room or len(part) == MOST_MESSAGES):
            yield part
            part, room = [], MOST_BYTES
        part.append(at)
        room -= needed
    if part:
        yield part


def _ordered(to: str, key: str) -> dict[str, str]:
    """What a FIFO queue or topic asks for: sent twice within five minutes, `key` arrives once."""
    return {"MessageGroupId": key, "MessageDeduplicationId": key} if to.endswith(".fifo") else {}


def _attributes(values: dict[str, str]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _why(failure: dict[str, Any]) -> str:
    return f"{failure.get('Code', 'unknown')}: {failure.get('Message', 'no reason given')[:200]}"
