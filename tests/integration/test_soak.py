"""The real server under a steady load, while everything that happens to it in a year happens within seconds."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from speed.api.keys import add_key, revoke_key
from speed.generations import CURRENT, PIN, Generations
from speed.stores.lmdb import SCORES
from tests.generations import many_forms, publish_generation

FORMS = many_forms(50)
SUMS = {form_id: sum(features) for form_id, (features, _, _) in FORMS.items()}
SLOPES = {"g1": 0.002, "g2": 0.004, "g3": 0.006, "broken": 0.008, "g4": 0.01}
"""Generations, and how far their rates are from .2 for each point of a form's features."""
READERS, PAUSE_SECONDS, RECONNECT_AFTER = 6, 0.02, 20
STAGE_SECONDS = 0.3
LOST = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}


def test_under_load_swaps_damage_a_kill_and_a_revoked_key_touch_nobody_else(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "serving")
    for name, slope in SLOPES.items():
        publish_generation(generations.serving, name, FORMS, slope=slope, live=False)
    scores = generations.serving / "broken" / SCORES
    scores.write_bytes(scores.read_bytes()[:-1] + b"?")
    generations.point(CURRENT, "g1")
    key_file = generations.serving / "keys.json"
    key, guest_key = add_key(key_file, ["read", "score"]), add_key(key_file, ["read", "score"])

    with _serving(tmp_path) as server, _reading(server.port, key, guest_key) as (readers, guest):
        assert max(server.connections_of_one_moment().values()) < 29  # of 32: no worker is left without
        everybody = [*readers, guest]
        stages = [_stage(everybody, "g1")]
        generations.point(CURRENT, "g2")
        stages.append(_stage(everybody, "g2"))
        generations.point(PIN, "g1")
        stages.append(_stage(everybody, "g1"))
        generations.point(CURRENT, "g3")
        stages.append(_stage(everybody, "g1"))  # pinned: what is published meanwhile waits
        generations.unpin()
        stages.append(_stage(everybody, "g3"))
        generations.point(CURRENT, "broken")
        _until(lambda: all('"generation":"broken"' in server.ready() for _ in range(8)), "broken to be refused")
        stages.append(_stage(everybody, "g3"))
        generations.point(CURRENT, "g3")  # a worker that starts beside a broken one has none to stay with

        victim, killed_at = server.workers()[0], time.monotonic()
        os.kill(victim, signal.SIGKILL)
        _until(lambda: len(server.workers()) == 3, "a new worker")
        generations.point(CURRENT, "g4")
        stages.append(_stage(everybody, "g4"))

        revoked_at = time.monotonic()
        revoke_key(key_file, guest_key.split("_")[1])
        _until(lambda: _last([guest], revoked_at, "problem") == ["401"] * 2, "both workers to refuse the key")
        refused_at = time.monotonic()
        stages.append(_stage(readers, "g4"))
        _until(lambda: any(answer.asked > refused_at for answer in guest.answers.copy()), "the guest to ask again")

    answers = [answer for reader in everybody for answer in reader.answers]
    for began, ended, name in stages:
        seen = [a.generation for a in answers if began < a.asked and a.at < ended and not a.problem]
        assert set(seen) == {name} and len(seen) > READERS
    (dead,) = (
        {answer.worker for answer in answers if answer.at < killed_at}
        - {answer.worker for answer in answers if answer.at > stages[-2][0]}  # when two had answered, one of them new
        - {""}
    )
    failed = [answer for reader in readers for answer in reader.answers if answer.problem]
    failed += [answer for answer in guest.answers if answer.problem and answer.at < revoked_at]
    replaced_at = stages[-2][0]
    unexplained = [
        a
        for a in failed
        if a.problem not in LOST or a.worker not in ("", dead) or a.at < killed_at or a.asked > replaced_at
    ]
    assert unexplained == []
    assert len(failed) <= READERS + 1
    assert {answer.problem for answer in guest.answers if answer.asked > refused_at} == {"401"}


class Answer(NamedTuple):
    """What a request got, and when. worker: which one answered. problem: empty, or what was wrong with the answer."""

    at: float
    asked: float
    worker: str
    generation: str
    problem: str = ""


@dataclass(eq=False)
class Reader(threading.Thread):
    """Asks for something else each time, over one connection, with its key; notes what it gets until `stop`."""

    port: int
    key: str
    stop: threading.Event
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        worker = ""
        ids = list(FORMS)
        for number in count():
            if self.stop.wait(PAUSE_SECONDS):
                break
            if number % RECONNECT_AFTER == 0:
                connection.close()
                worker = ""
            asked = time.monotonic()
            try:
                answer = _asked(connection, self.key, number % 4, ids[number % len(ids)])
            except (OSError, http.client.HTTPException) as error:
                answer = Answer(time.monotonic(), asked, worker, "", type(error).__name__)
                connection.close()
            worker = answer.worker
            self.answers.append(answer)
        connection.close()


def _asked(connection: http.client.HTTPConnection, key: str, kind: int, form_id: str) -> Answer:
    features, begun = FORMS[form_id][0], time.monotonic()
    others = ["f0", "f1", "f2"]
    method, path, body = [
        ("GET", f"/v1/forms/{form_id}", None),
        ("POST", "/v1/predict", {"features": features}),
        ("POST", "/v1/forms:lookup", {"form_ids": others}),
        ("POST", "/v1/predict/batch", {"vectors": [{"features": FORMS[other][0]} for other in others]}),
    ][kind]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    said = json.loads(response.read())
    worker = _worker(response)
    if response.status != 200:
        return Answer(time.monotonic(), begun, worker, "", str(response.status))
    generation, model = said["generation"], said.get("model_version")
    asked = [form_id] if kind < 2 else others
    rates = [one["rate"] for one in said.get("forms") or said.get("scores") or [said]]
    expected = [0.2 + SLOPES[generation] * SUMS[one] for one in asked]
    mixed = rates != pytest.approx(expected, abs=1e-9) or model not in (None, f"m-{generation}")
    return Answer(time.monotonic(), begun, worker, generation, f"mixed: {said}" if mixed else "")


def _worker(response: http.client.HTTPResponse) -> str:
    """Which one answered: its request ids begin alike."""
    return response.headers["x-request-id"].split("-")[0]


class Server(NamedTuple):
    port: int
    log: Path

    def workers(self) -> list[int]:
        """Process ids of all that were ever started, oldest first."""
        return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", self.log.read_text())]

    def connections_of_one_moment(self) -> Counter[str]:
        """How many of 32 each worker took."""
        connections = [http.client.HTTPConnection("127.0.0.1", self.port, timeout=60) for _ in range(32)]
        for connection in connections:
            connection.connect()
        taken = Counter[str]()
        for connection in connections:
            connection.request("GET", "/healthz")
            taken[_worker(connection.getresponse())] += 1
            connection.close()
        return taken

    def ready(self) -> str:
        """What /readyz says, of whichever worker; raises HTTPError where it is not ready."""
        with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=60) as answer:
            return answer.read().decode()


def _stage(readers: list[Reader], name: str) -> tuple[float, float, str]:
    """From when till when both workers answer from this generation alone whatever is asked: a little while."""
    began = time.monotonic()
    _until(lambda: _last(readers, began, "generation") == [name] * 2, f"all to answer from {name}")
    settled_at = time.monotonic()
    time.sleep(STAGE_SECONDS)

    def answered() -> bool:
        asked = [answer for reader in readers for answer in reader.answers.copy() if answer.asked > settled_at]
        return sum(not answer.problem for answer in asked) > READERS

    _until(answered, f"more answers from {name}")
    return settled_at, time.monotonic(), name


def _last(readers: list[Reader], since: float, what: str) -> list[str]:
    """That of the last answer of each worker that answered what was asked since then."""
    answers = sorted(answer for reader in readers for answer in reader.answers.copy() if answer.asked > since)
    return list({answer.worker: getattr(answer, what) for answer in answers if answer.worker}.values())


@contextmanager
def _reading(port: int, key: str, guest_key: str) -> Iterator[tuple[list[Reader], Reader]]:
    """Readers at work, and one more with a key of its own."""
    stop = threading.Event()
    readers, guest = [Reader(port, key, stop) for _ in range(READERS)], Reader(port, guest_key, stop)
    for reader in (*readers, guest):
        reader.start()
    try:
        yield readers, guest
    finally:
        stop.set()
        for reader in (*readers, guest):
            reader.join(90)


@contextmanager
def _serving(lake: Path) -> Iterator[Server]:
    settings = {"LAKE": str(lake), "PORT": "0", "WORKERS": "2", "WATCH_SECONDS": "0.1"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FORMCAST_")}
    log = lake / "server.log"
    with log.open("wb") as errors, (lake / "access.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "speed.api"],
            env=clean | {f"FORMCAST_{name}": value for name, value in settings.items()},
            stdout=out,
            stderr=errors,
        )
    try:
        _until(lambda: log.read_text().count("startup complete") == 2, "both workers to start")
        (port,) = re.findall(r"Formcast is at http://127\.0\.0\.1:(\d+)", log.read_text())
        yield Server(int(port), log)
    finally:
        process.terminate()
        process.wait(60)


def _until(happened: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"Waited {seconds} s for {what}."
        time.sleep(0.02)
