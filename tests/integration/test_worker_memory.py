"""Answers that are kept: a request is answered one way, however often it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from speed.worker.batch import Tally
from speed.worker.dynamodb import DynamoMemory
from speed.worker.memory import Kept, LmdbMemory, Memory
from tests.worker import PACKED, NewDesk, desks, publish


@pytest.fixture
def new_desk(aws: str, tmp_path: Path) -> Iterator[NewDesk]:
    with desks(tmp_path / "lake") as new:
        yield new


@pytest.fixture(params=["lmdb", "dynamodb"])
def memory(request: pytest.FixtureRequest, aws: str, tmp_path: Path) -> Iterator[Memory]:
    if request.param == "dynamodb":
        boto3.client("dynamodb").create_table(
            TableName="scores-answers",
            KeySchema=[{"AttributeName": "request_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "request_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    kept: Memory = DynamoMemory("scores", 60) if request.param == "dynamodb" else LmdbMemory(tmp_path, 60)
    with closing(kept):
        yield kept


def test_the_first_answer_to_a_request_is_the_one_that_is_kept(memory: Memory) -> None:
    first, second = Kept("r", b"\x01" * 32, "first ü"), Kept("r", b"\x01" * 32, "second")
    other = Kept("s", b"\x02" * 32, "other")

    kept = memory.keep([first, second]) | memory.keep([second, other])

    assert {key: (one.of, one.text) for key, one in kept.items()} == {
        "r": (first.of, first.text),
        "s": (other.of, other.text),
    }
    assert memory.get_many(["r", "s", "t", "r"]) == kept
    assert all(0 <= one.until - time.time() <= 61 for one in kept.values())
    assert memory.get_many([]) == memory.keep([]) == {}


def test_a_request_that_comes_again_gets_the_same_answer_of_the_old_generation(
    new_desk: NewDesk, memory: Memory
) -> None:
    desk = new_desk(memory=memory)
    request = {"request_id": "r1", "features": PACKED}
    desk.send(request)
    desk.work()
    publish(desk, "g2", slope=0.02)
    desk.send(request, {"request_id": "r2", "features": PACKED})

    assert desk.work() == Tally(answered=2, repeated=1, refused=0, failed=0)

    replies = desk.taken("reply_queue")
    first, again = (each["Body"] for each in replies if '"r1"' in each["Body"])
    assert first == again
    assert sorted(json.loads(each["Body"])["answer"]["generation"] for each in replies) == ["g1", "g1", "g2"]


def test_answers_are_forgotten_in_the_end(tmp_path: Path) -> None:
    now = 1_000_000.0
    with closing(LmdbMemory(tmp_path, 60, lambda: now)) as memory:
        memory.keep([Kept(f"r{at}", b"", "") for at in range(3)])
        now += 61
        memory.keep([Kept("new", b"", "")])
        assert list(memory.get_many(["r0", "r1", "r2", "new"])) == ["new"]
