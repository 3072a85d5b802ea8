"""The queue worker against a real interface of SQS and SNS: what is answered, where, and that nothing gets lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from speed.stores.records import Entry, Score
from speed.worker.batch import Tally
from speed.worker.heartbeat import Heartbeat
from speed.worker.queues import Reply, RequestQueue
from tests.generations import SCORED_AT
from tests.worker import PACKED, NewDesk, desks, fifo, publish


@pytest.fixture
def new_desk(aws: str, tmp_path: Path) -> Iterator[NewDesk]:
    with desks(tmp_path / "lake") as new:
        yield new


def test_every_kind_of_request_is_answered_whole(new_desk: NewDesk) -> None:
    desk, began = new_desk(), time.time()
    generation = desk.live.now()
    streamed = Entry(
        form_id="f2",
        event_id="e",
        observed_at=SCORED_AT,
        scored_at=SCORED_AT,
        predicted_rate=0.25,
        lower=None,
        upper=None,
        completion_rate=0.5,
        views=10_000,
        model_version="m0",
        generation="g0",
        features=b"",
    )
    desk.live.realtime.put([streamed])
    desk.send(
        {"request_id": "packed", "features": PACKED, "views": 100},
        {"request_id": "list", "features": [0.5] * 47},
        {"request_id": "many", "vectors": [PACKED, [0] * 47], "views": [None, 100]},
        {"request_id": "form", "form_id": "f1"},
        {"request_id": "forms", "form_ids": ["f2", "nobody", "f1", "f2"]},
        {"request_id": "unknown", "form_id": "nobody"},
    )

    assert desk.work() == Tally(answered=6, repeated=0, refused=0, failed=0)

    # The test's model: .2 + .01 * the sum of the features; intervals and stored scores from where they stand.
    made = {"generation": "g1", "model_version": "m-g1"}
    bounds, bounds_of_none = (
        dict(zip(("lower", "upper"), generation.scorer.score_one([value] * 47, 100)[1:], strict=True))
        for value in (0.5, 0)
    )
    rate, without = {"rate": pytest.approx(0.435)}, {"lower": None, "upper": None}
    when = {
        "scored_at": "2026-11-20T02:00:00Z",
        "age_seconds": pytest.approx(time.time() - SCORED_AT.timestamp(), abs=time.time() - began + 1),
    }
    batch = _named(generation.store.get("f1")) | made | when | {"origin": "batch"}
    stream = _named(streamed.score) | when | {"origin": "stream", "generation": "g0", "model_version": "m0"}
    assert {reply["request_id"]: reply.get("answer", reply.get("error")) for reply in desk.replies()} == {
        "packed": rate | bounds | made,
        "list": rate | without | made,
        "many": {"scores": [rate | without, {"rate": pytest.approx(0.2)} | bounds_of_none]} | made,
        "form": batch,
        "forms": {"forms": [stream, batch], "unknown": ["nobody"], "generation": "g1"},
        "unknown": "Form 'nobody' is not in generation g1, and was not streamed since: its id is wrong, its line was "
        "refused, or it is newer than the last dump.",
    }
    assert desk.taken("request_queue") == desk.dead() == []


@pytest.mark.parametrize("dies_in", ["send", "delete"])
def test_a_worker_that_dies_between_two_calls_loses_nothing(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    desk = new_desk()
    requests = [{"request_id": f"r{at}", "features": PACKED} for at in range(10)]
    desk.send(*requests)
    messages = desk.queue.receive(wait=0)
    with monkeypatch.context() as patch:
        patch.setattr(desk.outlet if dies_in == "send" else desk.queue, dies_in, _die)
        with pytest.raises(KeyboardInterrupt):
            desk.batches.handle(messages)
    desk.queue.hide(messages, 0)  # as the end of their time would
    publish(desk, "g2", slope=0.02)

    assert desk.work() == Tally(answered=10, repeated=10, refused=0, failed=0)

    replies = desk.replies()
    assert {reply["request_id"] for reply in replies} == {request["request_id"] for request in requests}
    assert {reply["answer"]["generation"] for reply in replies} == {"g1"}
    assert desk.taken("request_queue") == desk.dead() == []


def test_answers_go_where_the_request_says_and_arrive_once_in_a_fifo_queue(new_desk: NewDesk) -> None:
    desk = new_desk()
    mine = desk.sqs.create_queue(QueueName="mine.fifo", Attributes=fifo("mine.fifo"))["QueueUrl"]
    gone = mine.replace("mine", "gone")
    request = {"request_id": "r", "features": PACKED, "reply_to": mine}
    desk.send(request, request, {"request_id": "lost", "features": PACKED, "reply_to": gone})

    assert desk.work() == Tally(answered=2, repeated=0, refused=1, failed=0)

    (reply,) = desk.taken(mine)
    assert json.loads(reply["Body"])["request_id"] == reply["Attributes"]["MessageDeduplicationId"] == "r"
    ((body, reason),) = desk.dead()
    assert json.loads(body)["request_id"] == "lost" and reason.startswith(f"{gone} took no answer")
    assert desk.replies() == []


@pytest.mark.parametrize("fifo", ["", ".fifo"])
def test_answers_go_out_through_a_topic(new_desk: NewDesk, fifo: str) -> None:
    sns = boto3.client("sns")
    topic = sns.create_topic(Name=f"answers{fifo}", Attributes={"FifoTopic": "true"} if fifo else {})["TopicArn"]
    desk = new_desk(reply_topic=topic, reply_queue=f"replies{fifo}")
    arn = desk.sqs.get_queue_attributes(QueueUrl=desk.url["reply_queue"], AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
    desk.send(*({"request_id": f"r{at}", "features": PACKED} for at in range(10)), "{no json")
    desk.work()
    desk.work()

    notices = [json.loads(each["Body"]) for each in desk.taken("reply_queue")]

    assert sorted(notice["MessageAttributes"]["request_id"]["Value"] for notice in notices) == [
        json.loads(notice["Message"])["request_id"] for notice in sorted(notices, key=lambda each: each["Message"])
    ]
    assert len(notices) == 10


def test_large_answers_are_sent_in_calls_that_aws_takes_and_one_too_large_is_refused(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = new_desk()
    calls: list[int] = []
    publish_ = desk.outlet._publish

    def noted(to: str, replies: dict[str, Reply]) -> Any:
        calls.append(sum(len(reply.text) for reply in replies.values()))
        return publish_(to, replies)

    monkeypatch.setattr(desk.outlet, "_publish", noted)
    rows = ["-".join(["0"] * 47)] * 3_000
    desk.send(*({"request_id": f"r{at}", "vectors": rows} for at in range(3)))
    desk.send({"request_id": "huge", "vectors": rows * 3})

    assert desk.work() == Tally(answered=3, repeated=0, refused=1, failed=0)

    replies = desk.replies()
    assert [len(reply["answer"]["scores"]) for reply in replies if "answer" in reply] == [3_000] * 3
    assert [reply["error"] for reply in replies if "error" in reply] == [
        "The answer would be over 255 KiB, which no message holds: ask in parts."
    ]
    assert sum(calls) > 256 << 10 > max(calls)


def test_messages_in_hand_stay_hidden_however_long_they_take(
    new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the queue's clock, which only this test moves: a busy machine may beat late."""
    now = [time.time() * 1000]
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: now[0])
    desk = new_desk(visibility_seconds=3)
    desk.queue = RequestQueue(desk.sqs, desk.url["request_queue"], desk.url["dead_letter_queue"], visibility=2)
    desk.send({"request_id": "r", "form_id": "f1"})
    beats, hide = threading.Semaphore(0), desk.queue.hide
    monkeypatch.setattr(desk.queue, "hide", lambda held: (hide(held), beats.release())[0])
    messages = desk.queue.receive(wait=0)
    heartbeat = Heartbeat(desk.queue, every=0.05)
    with heartbeat.holding(messages):
        for _ in range(3):
            now[0] += 1_500
            while beats.acquire(blocking=False):
                pass  # of the time before
            assert all(beats.acquire(timeout=60) for _ in range(2))  # the first may have begun before
        assert desk.queue.receive(wait=0) == []
    heartbeat.stop()
    bodies: list[str] = []
    for _ in range(100):  # a beat under way may hide it once more
        now[0] += 2_100
        bodies += [message.body for message in desk.queue.receive(wait=0)]
        if bodies:
            break
    assert bodies == [messages[0].body]


def _named(score: Score | None) -> dict[str, Any]:
    """As the answer names it."""
    known = msgspec.to_builtins(score)
    known["rate"] = known.pop("predicted_rate")
    return known


def _die(*_: object) -> None:
    raise KeyboardInterrupt
