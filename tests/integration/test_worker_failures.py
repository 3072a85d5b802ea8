"""What the queue worker cannot answer, now or ever: refused, tried again, buried with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from speed.errors import StoreError
from speed.worker.batch import Tally
from tests.worker import PACKED, NewDesk, desks


@pytest.fixture
def new_desk(aws: str, tmp_path: Path) -> Iterator[NewDesk]:
    with desks(tmp_path / "lake") as new:
        yield new


def test_what_cannot_be_answered_is_refused_to_its_sender_and_buried_with_the_reason(
    new_desk: NewDesk,
) -> None:
    desk = new_desk(max_vectors=3)
    home = desk.url["request_queue"]
    deep = '{"request_id": "r", "features": ' + "[" * 100_000
    silent = ["{no json", deep, '["r"]', '{"features": "1-2"}', '{"request_id": "with blank", "form_id": "f1"}']
    bad: dict[str, tuple[dict[str, Any], str]] = {
        "a": ({"features": PACKED[:-3] + "x"}, "Value 47 is 'x': it must be a non-negative decimal."),
        "b": ({"vectors": [[0] * 47, [0] * 46]}, "Vector 1 (from 0): There are 46 values, and 47 are needed."),
        "c": ({"features": PACKED, "form_id": "f1"}, "A request has exactly one of features, vectors, form_id and "),
        "d": ({"form_ids": ["f1"] * 4}, "A request asks for 1 to 3 scores: this one for 4."),
        "e": ({"form_id": "a b"}, "Form id 0 (from 0) can be none: the form id has spaces"),
        "f": ({"features": {}}, "The request cannot be read: Expected"),
        "g": ({"form_id": "f1", "reply_to": "https://elsewhere/1/q"}, "The reply_to must be another queue's URL"),
        "h": ({"form_id": "f1", "reply_to": home}, "The reply_to must be another queue's URL"),
        "i": ({"features": PACKED, "views": -1}, "The request cannot be read: Expected `int` >= 0"),
        "j": ({"vectors": [PACKED], "views": [1, 2]}, "There are 2 views for 1 vectors."),
        "k": ({"features": PACKED, "view": 3}, "The request cannot be read: Object contains unknown field `view`"),
    }
    bodies = {key: json.dumps({"request_id": key} | body) for key, (body, _) in bad.items()}
    desk.send(*silent, *bodies.values())

    assert desk.work().refused + desk.work().refused == len(silent) + len(bad)

    dead = dict(desk.dead())
    assert dead.keys() == {*silent, *bodies.values()}
    assert {key: dead[bodies[key]][: len(sentence)] for key, (_, sentence) in bad.items()} == {
        key: sentence for key, (_, sentence) in bad.items()
    }
    assert sorted(desk.replies(), key=lambda reply: str(reply["request_id"])) == [
        {"request_id": key, "error": dead[body]} for key, body in bodies.items()
    ]
    assert desk.taken("request_queue") == []


def test_a_request_id_used_for_another_request_is_refused(new_desk: NewDesk) -> None:
    desk = new_desk()
    desk.send({"request_id": "r", "form_id": "f1"}, {"request_id": "r", "form_id": "f2"})

    assert desk.work() == Tally(answered=1, repeated=0, refused=1, failed=0)

    answer, refusal = sorted(desk.replies(), key=lambda reply: "error" in reply)
    assert answer["answer"]["form_id"] in {"f1", "f2"}
    assert refusal == {
        "request_id": "r",
        "error": "The request_id 'r' has been used for another request: take a new one.",
    }


def test_what_fails_comes_again_until_it_succeeds(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = new_desk(retry_seconds=0)
    desk.send({"request_id": "r", "form_id": "f1"})
    for broken, name in ((desk.memory, "get_many"), (desk.memory, "keep"), (desk.live, "find_many")):
        with monkeypatch.context() as patch:
            patch.setattr(broken, name, _fail)
            assert desk.work() == Tally(answered=0, repeated=0, refused=0, failed=1)
    desk.sqs.delete_queue(QueueUrl=desk.url["reply_queue"])
    assert desk.work() == Tally(answered=0, repeated=0, refused=0, failed=1)
    desk.sqs.create_queue(QueueName="replies")

    assert desk.work() == Tally(answered=1, repeated=1, refused=0, failed=0)
    assert [reply["request_id"] for reply in desk.replies()] == ["r"]
    assert desk.dead() == []
    assert (
        next(record.facts["reason"] for record in caplog.records if record.message == "failed")
        == "The store is down."
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreError("The store is down."), "The store is down."),
        (KeyError("a bug"), "Something unexpected went wrong (KeyError)."),
    ],
)
def test_what_fails_too_often_is_buried_with_the_last_reason_and_holds_up_no_other(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    desk = new_desk(retry_seconds=0, max_receives=3)
    monkeypatch.setattr(desk.live, "find_many", Mock(side_effect=error))
    body = json.dumps({"request_id": "r", "form_id": "f1"})
    desk.send(body, {"request_id": "other", "features": PACKED})

    assert [desk.work() for _ in range(4)] == [(1, 0, 0, 1), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 0, 0)]

    assert desk.dead() == [(body, f"It failed 3 times, the last time so: {sentence}")]
    assert [reply["request_id"] for reply in desk.replies()] == ["other"]


def test_what_kills_its_workers_is_buried_without_being_tried(new_desk: NewDesk) -> None:
    desk = new_desk(max_receives=2)
    body = json.dumps({"request_id": "r", "form_id": "f1"})
    desk.send(body)
    for _ in range(2):
        desk.queue.hide(desk.queue.receive(wait=0), 0)  # taken, and never seen again

    assert desk.work() == Tally(answered=0, repeated=0, refused=1, failed=0)
    assert desk.dead() == [(body, "It was delivered 3 times, and no worker lived to answer it.")]


def _fail(*_: object) -> None:
    raise StoreError("The store is down.")
