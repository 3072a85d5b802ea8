"""The queue worker as a process: started as people start it, stopped, killed, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.generations import many_forms, publish_generation

FORMS = many_forms(20)
VECTORS = ["-".join(["1"] * 47)] * 100
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def queues(aws: str) -> dict[str, str]:
    sqs = boto3.client("sqs")
    names = {"request_queue": "requests", "reply_queue": "replies", "dead_letter_queue": "dead"}
    return {key: sqs.create_queue(QueueName=name)["QueueUrl"] for key, name in names.items()}


@pytest.fixture
def start(tmp_path: Path, queues: dict[str, str]) -> Iterator[Start]:
    """Start a worker on the queues, with settings; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(**settings: Any) -> subprocess.Popen[str]:
        values = {
            "lake": tmp_path,
            "visibility_seconds": 3,
            "watch_seconds": 0.1,
            "queue_threads": 1,
            **queues,
            **settings,
        }
        environment = os.environ | {f"FORMCAST_{name.upper()}": str(value) for name, value in values.items()}
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "speed.worker"], env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_worker_told_to_stop_finishes_what_it_has_and_leaves_the_rest(
    start: Start, queues: dict[str, str], tmp_path: Path
) -> None:
    worker = start(visibility_seconds=60)  # what it has in hand shows itself to nobody, however slow it is
    _ask(queues, "first", 20)
    time.sleep(1)
    assert _count(queues["request_queue"], hidden=False) == 20  # with nothing to answer from, it leaves them alone
    publish_generation(tmp_path / "serving", "g1", FORMS)
    answers = _answers(queues, 20)
    publish_generation(tmp_path / "serving", "g2", FORMS, slope=0.02)
    seen: dict[str, str] = {}
    while "g2" not in map(_generation, seen.values()):
        _ask(queues, f"seen{len(seen)}", 1)
        seen |= _answers(queues, 1)
    _ask(queues, "then", 80)
    answers |= seen | _answers(queues, 1)
    worker.send_signal(signal.SIGTERM)
    log = [json.loads(line) for line in worker.communicate(timeout=120)[0].splitlines()]
    asked = 100 + len(seen)

    assert worker.returncode == 0
    assert log[-1]["message"] == "All that was in hand is finished."
    batches = [line for line in log if line["message"] == "batch"]
    handled = sum(line["answered"] for line in batches)
    assert 20 + len(seen) < handled <= asked
    answers |= _answers(queues, handled - len(answers))
    # Nothing was half done: each message is either answered and gone, or still there.
    assert len(answers) == handled
    assert _count(queues["request_queue"]) == asked - handled
    generations = {request_id: _generation(text) for request_id, text in answers.items()}
    assert {generations[key] for key in generations if key.startswith("first")} == {"g1"}
    assert {generations[key] for key in generations if key.startswith("then")} == {"g2"}
    assert "testing" not in json.dumps(log)  # the key of the account


def test_a_worker_killed_in_the_middle_loses_nothing(start: Start, queues: dict[str, str], tmp_path: Path) -> None:
    publish_generation(tmp_path / "serving", "g1", FORMS)
    _ask(queues, "r", 60)
    killed = start()
    answers = _answers(queues, 10)
    killed.kill()
    killed.wait()
    assert len(answers) < 60

    start()
    answers |= _answers(queues, 60 - len(answers))

    assert sorted(answers) == sorted(f"r-{at}" for at in range(60))
    assert {len(json.loads(text)["answer"]["scores"]) for text in answers.values()} == {len(VECTORS)}
    assert _count(queues["dead_letter_queue"]) == 0


@pytest.mark.parametrize(
    ("setting", "code", "sentence"),
    [
        ({"dead_letter_queue": ""}, 2, "The setting FORMCAST_DEAD_LETTER_QUEUE is needed: the URL of an SQS queue."),
        ({"max_receives": "many"}, 2, "The setting FORMCAST_MAX_RECEIVES cannot be 'many': "),
        ({"lake": "s3://bucket/lake"}, 1, "A lake in S3 has workers on many machines: name a table"),
    ],
)
def test_a_worker_does_not_start_with_wrong_settings(
    start: Start, setting: dict[str, str], code: int, sentence: str
) -> None:
    worker = start(**setting)
    (line,) = worker.communicate(timeout=120)[0].splitlines()
    assert worker.returncode == code
    assert json.loads(line)["message"].startswith(sentence)


def test_a_worker_loads_nothing_of_the_batch_layer_nor_of_the_api() -> None:
    code = "import sys, speed.worker.__main__; print({name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("jobs", "pyspark", "pandas", "pyarrow", "onnx", "fastapi") if f"'{name}'" in loaded]


def _ask(queues: dict[str, str], name: str, count: int) -> None:
    sqs = boto3.client("sqs")
    bodies = [json.dumps({"request_id": f"{name}-{at}", "vectors": VECTORS}) for at in range(count)]
    for at in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[at : at + 10])]
        sqs.send_message_batch(QueueUrl=queues["request_queue"], Entries=entries)


def _generation(answer: str) -> str:
    return str(json.loads(answer)["answer"]["generation"])


def _answers(queues: dict[str, str], count: int, seconds: float = 180) -> dict[str, str]:
    """At least so many answers, by request id; the same request is never answered in two ways."""
    sqs, url = boto3.client("sqs"), queues["reply_queue"]
    found: dict[str, str] = {}
    end = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} answers came, not {count}"
        for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            request_id = json.loads(each["Body"])["request_id"]
            assert found.setdefault(request_id, each["Body"]) == each["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


def _count(url: str, *, hidden: bool = True) -> int:
    """Messages in a queue, with or without those in somebody's hand."""
    names = ["ApproximateNumberOfMessages", *(["ApproximateNumberOfMessagesNotVisible"] if hidden else [])]
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)
