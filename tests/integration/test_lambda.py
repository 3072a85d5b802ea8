"""The Lambda, called with what AWS calls it with: what is stored, what is refused, and what shall come again."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from generations import many_forms, publish_generation
from streams import line

from speed import lambda_handler
from speed.errors import SpeedError, ThrottledError
from speed.lambda_handler import handler
from speed.stores.records import Entry

ROOT = Path(__file__).parents[2]
SHARD, QUEUE = "arn:aws:kinesis:eu-west-1:123456789012:stream/forms", "arn:aws:sqs:eu-west-1:123456789012:forms"


def kinesis(*payloads: str | bytes) -> dict[str, Any]:
    """Records 0, 1, ... of a shard."""
    datas = [payload if isinstance(payload, bytes) else payload.encode() for payload in payloads]
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "x",
                    "sequenceNumber": str(at),
                    "data": base64.b64encode(data).decode(),
                    "approximateArrivalTimestamp": 1_795_000_000.5 + at,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000006:{at}",
                "eventName": "aws:kinesis:record",
                "eventSourceARN": SHARD,
                "awsRegion": "eu-west-1",
            }
            for at, data in enumerate(datas)
        ]
    }


def sqs(*payloads: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m-{at}",
                "receiptHandle": "MessageReceiptHandle",
                "body": payload,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795000000500"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUE,
                "awsRegion": "eu-west-1",
            }
            for at, payload in enumerate(payloads)
        ]
    }


def again(answer: dict[str, Any]) -> list[str]:
    """The records that AWS is to deliver again."""
    assert answer.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def quarantine(aws: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A Lambda that is cold, beside a lake with generation `g1`; call it for what the quarantine was told since."""
    publish_generation(Path(lake) / "serving", "g1", many_forms(5))
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="refused")["QueueUrl"]
    for name, value in (("LAKE", lake), ("DEAD_LETTER_QUEUE", url), ("WATCH_SECONDS", "0.001")):
        monkeypatch.setenv(f"FORMCAST_{name}", value)

    def told() -> list[dict[str, Any]]:
        found = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(found, key=lambda message: message["event_id"])

    lambda_handler._function.cache_clear()
    yield told
    if lambda_handler._function.cache_info().currsize:
        lambda_handler._function()._live.close()
    lambda_handler._function.cache_clear()


def entry(form_id: str) -> Entry | None:
    return lambda_handler._function()._live.realtime.get(form_id)


Told = Callable[[], list[dict[str, Any]]]


def test_good_events_are_stored_and_broken_ones_never_come_again(quarantine: Told) -> None:
    assert again(handler(kinesis(line("a", 3), "poison", b"\xff\x00", line("b", 4, 10), line("a", 2)))) == []

    a, b = entry("a"), entry("b")
    assert a and b
    assert (a.views, a.event_id, a.generation, a.predicted_rate) == (3, "shardId-000000000006:0", "g1", 0.2)
    assert (b.views, b.observed_at.isoformat()) == (4, "2026-11-18T11:06:43.500000+00:00")
    arrived = {"source": SHARD, "received_at": "2026-11-18T11:06:41.500000+00:00"}
    assert quarantine() == [
        {"payload": "poison", "reasons": ["wrong_field_count"], "event_id": "shardId-000000000006:1"} | arrived,
        {"payload": "\\xff\x00", "reasons": ["not_utf8"], "event_id": "shardId-000000000006:2"}
        | arrived
        | {"received_at": "2026-11-18T11:06:42.500000+00:00"},
    ]
    assert again(handler(sqs(line("a", 3), "{}"))) == []
    assert [one["reasons"] for one in quarantine()] == [["form_id_missing", "count_missing", "wrong_feature_count"]]


def test_many_broken_events_fit_into_the_calls_that_tell_of_them(quarantine: Told) -> None:
    assert again(handler(kinesis(*["\x01" * 100_000] * 25))) == []

    assert [(len(one["payload"]), one["reasons"]) for one in quarantine()] == [(2_000, ["wrong_field_count"])] * 25


def test_what_may_succeed_later_comes_again(quarantine: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    events = ("early poison", line("a", 3), "late poison", line("b", 3))

    def throttled(*_: object) -> int:
        raise ThrottledError("The table takes no more for now.")

    handler(sqs(line("warm", 1)))
    with monkeypatch.context() as patch:
        patch.setattr(type(lambda_handler._function()._live.realtime), "put", throttled)
        assert again(handler(sqs(*events))) == ["m-1", "m-3"]
        assert [one["payload"] for one in quarantine()] == ["early poison", "late poison"]
        # A shard comes again from its first failure on: what follows is refused then, once.
        assert again(handler(kinesis(*events))) == ["1", "3"]
        assert [one["payload"] for one in quarantine()] == ["early poison"]

    assert again(handler(kinesis(*events[1:]))) == []
    assert [one["payload"] for one in quarantine()] == ["late poison"]
    assert entry("a") and entry("b")


def test_a_broken_event_comes_again_where_the_quarantine_is_down(
    quarantine: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMCAST_DEAD_LETTER_QUEUE", "http://127.0.0.1:9/123456789012/nowhere")

    assert again(handler(sqs(line("a", 3), "poison"))) == ["m-1"]
    assert entry("a")

    lambda_handler._function()._live.close()
    lambda_handler._function.cache_clear()
    monkeypatch.delenv("FORMCAST_DEAD_LETTER_QUEUE")
    with pytest.raises(SpeedError, match="FORMCAST_DEAD_LETTER_QUEUE is not set"):
        handler(sqs("poison"))


def test_a_shard_tells_its_quarantine_nothing_behind_what_comes_again(
    quarantine: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three calls to the queue the second fails: from its first record on all comes again, and is told then."""
    handler(kinesis(line("a", 3)))  # the function is made
    sqs_client, calls = lambda_handler._function()._sqs, []
    send = sqs_client.send_message_batch

    def second_fails(**request: Any) -> Any:
        calls.append(request)
        if len(calls) == 2:
            raise EndpointConnectionError(endpoint_url="sqs")
        return send(**request)

    monkeypatch.setattr(sqs_client, "send_message_batch", second_fails)
    failed = again(handler(kinesis(*["poison"] * 25)))
    assert failed == [str(at) for at in range(10, 20)]
    assert len(quarantine()) == 10


def test_the_generation_is_kept_between_calls_and_follows_the_pointer(quarantine: Told, lake: str) -> None:
    serving = Path(lake) / "serving"
    (serving / "CURRENT").rename(serving / "HIDDEN")
    assert again(handler(sqs(line("a", 3)))) == ["m-0"]  # nothing is published yet
    (serving / "HIDDEN").rename(serving / "CURRENT")

    handler(sqs(line("a", 3)))
    first = lambda_handler._function()._live.now()
    handler(sqs(line("b", 3)))
    assert lambda_handler._function()._live.now() is first

    publish_generation(serving, "g2", many_forms(5), slope=0.02)
    handler(sqs(line("c", 3)))
    publish_generation(serving, "g3", many_forms(5))
    (serving / "g3" / "model.onnx").write_bytes(b"junk")
    handler(sqs(line("d", 3)))
    assert [found and found.generation for found in map(entry, "abcd")] == ["g1", "g1", "g2", "g2"]


def test_an_invocation_needs_the_packages_of_its_zip_alone(quarantine: Callable[[], Any]) -> None:
    code = (
        "import json, sys; from speed.lambda_handler import handler; "
        "assert handler(json.loads(sys.argv[1])) == {'batchItemFailures': []}; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    event = json.dumps(sqs(line("a", 3), "junk"))
    done = subprocess.run([sys.executable, "-c", code, event], capture_output=True, text=True, check=True)
    assert [message["event_id"] for message in quarantine()] == ["m-1"]

    packages = packages_distributions()
    used = {package for name in done.stdout.split() for package in packages.get(name, [])}
    lock = (ROOT / "requirements" / "lambda.txt").read_text()
    shipped = set(re.findall(r"(?m)^([a-z0-9._-]+)==", lock)) | {"formcast"}
    # botocore takes certifi's certificates where they are, else its own; setuptools has installed this folder.
    assert {name.lower().replace("_", "-") for name in used} - shipped <= {"certifi", "setuptools"}
