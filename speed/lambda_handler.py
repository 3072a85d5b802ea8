"""The stream without Spark: an AWS Lambda that Kinesis or SQS triggers, `speed.lambda_handler.handler`.

Events that are stored, or refused for good, are done. Those that may succeed later, with a store that is throttled or
down, are answered as `batchItemFailures`: switch ReportBatchItemFailures on for the trigger.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from speed.errors import SpeedError
from speed.events import Event, entries_of, read_event
from speed.generations import Generation
from speed.live import Live
from speed.settings import ServeSettings, read_settings
from speed.sources import open_sources
from speed.stores.aws import aws_client, plain_errors

# A call of SQS takes ten messages and 256 KB, in which a character may need 12 bytes; an event has about 500 of them.
MESSAGES_A_CALL, PAYLOAD_CHARS = 10, 2_000

log = logging.getLogger("formcast.lambda")
log.setLevel(logging.INFO)


class Record(NamedTuple):
    """One record of a trigger. item_id: what a failure of it is called."""

    item_id: str
    payload: bytes
    event_id: str
    received_at: datetime
    source: str


class Refused(NamedTuple):
    """A record that no try will make good, with the codes (keys of REASONS) of all that is wrong with it."""

    record: Record
    reasons: list[str]


class Function:
    """What stays between invocations: the stores, the live generation, and the queue of what is refused."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises SpeedError where the queue is not named, or a store cannot be opened."""
        if not settings.dead_letter_queue:
            raise SpeedError("FORMCAST_DEAD_LETTER_QUEUE is not set: refused events must have somewhere to go.")
        self._settings = settings
        self._live = Live(*open_sources(settings))
        self._sqs = aws_client("sqs")
        self._look_at = 0.0

    def take(self, records: Sequence[Record], *, ordered: bool) -> dict[str, Any]:
        """Score and store what keeps the contract; answers the records to deliver again.

        ordered: the trigger delivers from the first failure on again, whatever became of later records.
        """
        read = [(record, read_event(record.payload, record.event_id, record.received_at)) for record in records]
        accepted = [(record, event) for record, event in read if isinstance(event, Event)]
        refused = [Refused(record, reasons) for record, reasons in read if not isinstance(reasons, Event)]
        stored = 0
        failed: set[str] = set()
        try:
            events = [event for _, event in accepted]
            stored = self._live.realtime.put(entries_of(events, self._generation(), datetime.now(UTC)))
        except SpeedError as error:
            log.warning("%d events will come again: %s", len(accepted), error)
            failed = {record.item_id for record, _ in accepted}
        if ordered and failed:  # what comes again anyway is refused then, and not twice
            first = next(at for at, record in enumerate(records) if record.item_id in failed)
            coming = {record.item_id for record in records[first:]}
            refused = [one for one in refused if one.record.item_id not in coming]
        failed |= self._quarantine(refused, ordered=ordered)
        counts = {"accepted": len(accepted), "refused": len(refused), "stored": stored, "failed": len(failed)}
        log.info("%s", json.dumps(counts))
        return {"batchItemFailures": [{"itemIdentifier": r.item_id} for r in records if r.item_id in failed]}

    def _generation(self) -> Generation:
        """The live one, looked for again every `watch_seconds`; a bad new one leaves the old in place."""
        if self._live.generation is None or time.monotonic() >= self._look_at:
            self._live.look()
            self._look_at = time.monotonic() + self._settings.watch_seconds
        return self._live.now()

    def _quarantine(self, refused: Sequence[Refused], *, ordered: bool) -> set[str]:
        """Send what is refused to its queue; the ids of records that it did not take, which are to come again.

        ordered: what stands behind a failure comes again with it, and is sent then.
        """
        failed: set[str] = set()
        for start in range(0, len(refused), MESSAGES_A_CALL):
            part = refused[start : start + MESSAGES_A_CALL]
            entries = [{"Id": str(at), "MessageBody": _message(one)} for at, one in enumerate(part)]
            queue = self._settings.dead_letter_queue
            try:
                with plain_errors(f"The queue {queue}"):
                    answer = self._sqs.send_message_batch(QueueUrl=queue, Entries=entries)
                failed |= {part[int(one["Id"])].record.item_id for one in answer.get("Failed", [])}
            except SpeedError as error:
                log.warning("%d refused events will come again: %s", len(part), error)
                failed |= {one.record.item_id for one in part}
            if ordered and failed:
                break
        return failed


def handler(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    """What Lambda calls. Raises SpeedError where the settings are wrong: then the whole batch comes again."""
    records = list(_records(event))
    return _function().take(records, ordered=any("kinesis" in record for record in event["Records"]))


@lru_cache(maxsize=1)
def _function() -> Function:
    return Function(read_settings(ServeSettings))


def _records(event: dict[str, Any]) -> Iterator[Record]:
    for record in event["Records"]:
        source = record.get("eventSourceARN", "")
        if "kinesis" in record:
            body = record["kinesis"]
            arrived = datetime.fromtimestamp(body["approximateArrivalTimestamp"], UTC)
            yield Record(body["sequenceNumber"], base64.b64decode(body["data"]), record["eventID"], arrived, source)
        else:
            arrived = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
            yield Record(record["messageId"], record["body"].encode(), record["messageId"], arrived, source)


def _message(refused: Refused) -> str:
    """What the quarantine is told. JSON in ASCII: SQS takes no control characters, and broken payloads have them."""
    record, reasons = refused
    told = {
        "payload": record.payload.decode("utf-8", "backslashreplace")[:PAYLOAD_CHARS],
        "reasons": reasons,
        "source": record.source,
        "event_id": record.event_id,
        "received_at": record.received_at.isoformat(),
    }
    return json.dumps(told)
