"""The Python client against the real server, and against one that is busy."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import uvicorn

from speed.api.app import create_app
from speed.api.keys import add_key
from speed.client import ApiError, Client
from speed.settings import ServeSettings
from tests.generations import many_forms, publish_generation

FORMS = many_forms(5)
PACKED = "-".join(["0.5"] * 47)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    lake = tmp_path_factory.mktemp("client")
    publish_generation(lake / "serving", "g1", FORMS)
    settings = ServeSettings(lake=str(lake), access_log=False)
    key = add_key(settings.keys_path, ("read", "score", "retrain"))
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", key) as client:
        yield client
    server.should_exit = True
    thread.join()


def test_the_client_gets_every_answer_typed(api: Client) -> None:
    one = api.predict(PACKED, views=100)
    assert (one.rate, one.generation, one.model_version) == (pytest.approx(0.435), "g1", "m-g1")
    assert one.lower is not None and one.upper is not None and one.lower < one.rate < one.upper
    many = api.predict_many([PACKED, [0] * 47], views=[100, None])
    assert [score.rate for score in many.scores] == [one.rate, pytest.approx(0.2)]
    assert [score.lower for score in many.scores] == [one.lower, None]
    assert many.scores[0] == api.predict_many([[0.5] * 47], [100]).scores[0]

    form = api.form("f1", explain=True, features=True)
    assert (form.form_id, form.origin, form.views, form.features) == ("f1", "batch", FORMS["f1"][1], FORMS["f1"][0])
    assert form.explanation and form.explanation.contributions["feat_01"] == pytest.approx(0.01 * FORMS["f1"][0][0])
    found = api.lookup(["f2", "nobody"])
    assert ([known.form_id for known in found.forms], found.unknown) == (["f2"], ["nobody"])
    assert api.model().generation["count"] == len(FORMS)


def test_the_client_raises_the_sentence_of_the_problem(api: Client) -> None:
    with pytest.raises(ApiError, match=r"^Value 47 is 'x': it must be a non-negative decimal\.$") as bad:
        api.predict(PACKED[:-3] + "x")
    assert (bad.value.status, bad.value.problem["position"]) == (422, 47)
    with pytest.raises(ApiError, match=r"^Form 'a/b' is not in generation g1") as unknown:
        api.form("a/b")
    assert unknown.value.status == 404
    with pytest.raises(ApiError, match="FORMCAST_AIRFLOW_URL is not set") as alone:
        api.retrain()
    assert alone.value.status == 503
    with Client(str(api._http.base_url), "fc_wrong") as stranger, pytest.raises(ApiError, match="key is not valid"):
        stranger.model()
    with (
        Client("http://127.0.0.1:9") as nowhere,
        pytest.raises(ApiError, match=r"^http://127.0.0.1:9 gives no answer"),
    ):
        nowhere.model()


class Busy(BaseHTTPRequestHandler):
    """Answers as its class says, one after the other; notes what it was asked."""

    answers: list[tuple[int, str, object]]
    asked: list[tuple[str, str | None]]

    def do_POST(self) -> None:
        self.asked.append((self.path, self.headers["Idempotency-Key"]))
        status, retry_after, body = self.answers.pop(0)
        content = json.dumps(body).encode()
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def busy() -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Busy.answers, Busy.asked = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    with Client(f"http://127.0.0.1:{server.server_port}", patience=2) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_the_client_comes_again_when_the_api_says(busy: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only its own waits move."""
    waits: list[float] = []
    monkeypatch.setattr("speed.client.time", SimpleNamespace(monotonic=lambda: sum(waits), sleep=waits.append))
    run = {"run_id": "r", "state": "queued", "status_url": "u"}
    Busy.answers = [(503, "1", {"detail": "Later."}), (429, "0", {"detail": "Later."}), (202, "", run)]

    assert busy.retrain().run_id == "r"

    assert waits == [1, 0]
    ((path, key),) = set(Busy.asked)  # three times the same key: one run
    assert path == "/v1/retrain" and key and len(Busy.asked) == 3


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((503, "60", {"detail": "Not for a minute."}), "Not for a minute."),
        ((503, "", {"detail": "It says not when."}), "It says not when."),
        ((500, "0", {"detail": "A bug."}), "A bug."),
        ((502, "", ["a proxy"]), "http://127.0.0.1:.* answers with status 502."),
        ((202, "", {"run": 1}), "gives no answer: Object missing required field"),
    ],
)
def test_the_client_does_not_wait_for_ever(busy: Client, answer: tuple[int, str, object], sentence: str) -> None:
    Busy.answers = [answer]
    with pytest.raises(ApiError, match=sentence):
        busy.retrain()
    assert len(Busy.asked) == 1
