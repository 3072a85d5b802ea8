"""The queue worker against a real SQS, SNS and DynamoDB interface: what comes out, and what may never get lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import msgspec
import pytest

from speed.errors import StoreError
from speed.generations import Generations
from speed.live import Live
from speed.settings import ServeSettings
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Entry, Score
from speed.worker.batch import Batches, Tally
from speed.worker.dynamodb import DynamoMemory
from speed.worker.heartbeat import Heartbeat
from speed.worker.job import Rules
from speed.worker.memory import Kept, LmdbMemory, Memory
from speed.worker.queues import Outlet, Reply, RequestQueue, client
from tests.generations import SCORED_AT, many_forms, publish_generation

FORMS = many_forms(20)
PACKED = "-".join(["0.5"] * 47)
URLS = {"request_queue": "requests", "reply_queue": "replies", "dead_letter_queue": "dead"}


class Desk:
    """A worker's parts on queues of their own, and both ends of them for the test."""

    def __init__(self, lake: Path, memory: Memory | None = None, **settings: Any) -> None:
        self.sqs = boto3.client("sqs")
        names = URLS | {key: value for key, value in settings.items() if key in URLS}
        self.url = {
            key: self.sqs.create_queue(QueueName=name, Attributes=_fifo(name))["QueueUrl"]
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


@pytest.fixture
def new_desk(aws: str, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """`new_desk(reply_queue="replies.fifo", ...)` on a lake with the live generation `g1` of FORMS."""
    publish_generation(tmp_path / "lake/serving", "g1", FORMS)
    desks: list[Desk] = []

    def new(**settings: Any) -> Desk:
        desks.append(Desk(tmp_path / "lake", **settings))
        return desks[-1]

    yield new
    for desk in desks:
        desk.close()


def publish(desk: Desk, name: str, slope: float) -> None:
    publish_generation(Path(desk.settings.serving), name, FORMS, slope=slope)
    desk.live.look()


def test_every_kind_of_request_is_answered_whole(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
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
        "age_seconds": pytest.approx(time.time() - SCORED_AT.timestamp(), abs=9),
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


def test_a_request_that_comes_again_gets_the_same_answer_of_the_old_generation(
    new_desk: Callable[..., Desk], memory: Memory
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


@pytest.mark.parametrize("dies_in", ["send", "delete"])
def test_a_worker_that_dies_between_two_calls_loses_nothing(
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, dies_in: str
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


def test_what_cannot_be_answered_is_refused_to_its_sender_and_buried_with_the_reason(
    new_desk: Callable[..., Desk],
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


def test_a_request_id_used_for_another_request_is_refused(new_desk: Callable[..., Desk]) -> None:
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
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    desk = new_desk(retry_seconds=0, max_receives=3)
    monkeypatch.setattr(desk.live, "find_many", Mock(side_effect=error))
    body = json.dumps({"request_id": "r", "form_id": "f1"})
    desk.send(body, {"request_id": "other", "features": PACKED})

    assert [desk.work() for _ in range(4)] == [(1, 0, 0, 1), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 0, 0)]

    assert desk.dead() == [(body, f"It failed 3 times, the last time so: {sentence}")]
    assert [reply["request_id"] for reply in desk.replies()] == ["other"]


def test_what_kills_its_workers_is_buried_without_being_tried(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(max_receives=2)
    body = json.dumps({"request_id": "r", "form_id": "f1"})
    desk.send(body)
    for _ in range(2):
        desk.queue.hide(desk.queue.receive(wait=0), 0)  # taken, and never seen again

    assert desk.work() == Tally(answered=0, repeated=0, refused=1, failed=0)
    assert desk.dead() == [(body, "It was delivered 3 times, and no worker lived to answer it.")]


def test_answers_go_where_the_request_says_and_arrive_once_in_a_fifo_queue(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
    mine = desk.sqs.create_queue(QueueName="mine.fifo", Attributes=_fifo("mine.fifo"))["QueueUrl"]
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
def test_answers_go_out_through_a_topic(new_desk: Callable[..., Desk], fifo: str) -> None:
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
    new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
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


def test_messages_in_hand_stay_hidden_however_long_they_take(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(visibility_seconds=3)
    desk.queue = RequestQueue(desk.sqs, desk.url["request_queue"], desk.url["dead_letter_queue"], visibility=2)
    desk.send({"request_id": "r", "form_id": "f1"})
    heartbeat = Heartbeat(desk.queue, every=0.2)
    messages = desk.queue.receive(wait=0)
    with heartbeat.holding(messages):
        time.sleep(2.3)
        assert desk.queue.receive(wait=0) == []
    heartbeat.stop()
    time.sleep(2.1)
    assert [message.body for message in desk.queue.receive(wait=0)] == [messages[0].body]


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


def test_answers_are_forgotten_in_the_end(tmp_path: Path) -> None:
    now = 1_000_000.0
    with closing(LmdbMemory(tmp_path, 60, lambda: now)) as memory:
        memory.keep([Kept(f"r{at}", b"", "") for at in range(3)])
        now += 61
        memory.keep([Kept("new", b"", "")])
        assert list(memory.get_many(["r0", "r1", "r2", "new"])) == ["new"]


def _named(score: Score | None) -> dict[str, Any]:
    """As the answer names it."""
    known = msgspec.to_builtins(score)
    known["rate"] = known.pop("predicted_rate")
    return known


def _fifo(name: str) -> dict[str, str]:
    return {"FifoQueue": "true"} if name.endswith(".fifo") else {}


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(*_: object) -> None:
    raise StoreError("The store is down.")
