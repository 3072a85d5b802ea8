"""Retraining, against a stand-in for Airflow's REST API v2 that behaves as the real one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.api import client_of, key_header, small_lake

RUNS = "/api/v2/dags/nightly_retrain/dagRuns"


class FakeAirflow(ThreadingHTTPServer):
    """Runs by id; tokens that were given out and are still good; every request that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.seen: list[tuple[str, str, Any]] = []

    @property
    def settings(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server_port}"
        return {"airflow_url": url, "airflow_user": "formcast", "airflow_password": "s3cret"}


class _Handler(BaseHTTPRequestHandler):
    server: FakeAirflow

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_POST(self) -> None:
        self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, method: str, body: Any) -> None:
        self.server.seen.append((method, self.path, body))
        status, answer = self._reply(method, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reply(self, method: str, body: Any) -> tuple[int, dict[str, Any]]:
        airflow = self.server
        if self.path == "/auth/token":
            if body != {"username": "formcast", "password": "s3cret"}:
                return 401, {"detail": "Invalid credentials"}
            airflow.tokens.add(token := f"t{len(airflow.seen)}")
            return 201, {"access_token": token}
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in airflow.tokens:
            return 401, {"detail": "Not authenticated"}
        if method == "POST":
            run_id = body["dag_run_id"]
            if run_id in airflow.runs:
                return 409, {"detail": "DAGRun already exists"}
            airflow.runs[run_id] = "queued"
            return 200, {"dag_run_id": run_id, "state": "queued"}
        run_id = self.path.rpartition("/")[2]
        return (200, {"state": airflow.runs[run_id]}) if run_id in airflow.runs else (404, {"detail": "not found"})

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def running_airflow() -> Iterator[FakeAirflow]:
    server = FakeAirflow()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def airflow() -> Iterator[FakeAirflow]:
    with running_airflow() as server:
        yield server


def test_a_run_is_started_once_for_its_key_and_followed_to_its_model(tmp_path: Path, airflow: FakeAirflow) -> None:
    somebody_else = key_header(tmp_path)
    with client_of(small_lake(tmp_path), public_url="https://scores.example/", **airflow.settings) as client:
        first = client.post("/v1/retrain", headers={"Idempotency-Key": "night 1"})
        run = first.json()
        run_id = run["run_id"]
        url = f"https://scores.example/v1/retrain/{run_id}"
        assert (first.status_code, first.headers["location"]) == (202, url)
        assert run == {"run_id": run_id, "state": "queued", "status_url": url}
        assert ("POST", RUNS, {"dag_run_id": run_id, "logical_date": None}) in airflow.seen

        airflow.tokens.clear()  # as after a day: the API logs in again
        airflow.runs[run_id] = "running"
        again = client.post("/v1/retrain", headers={"Idempotency-Key": "night 1"})
        assert (again.status_code, again.json()) == (202, run | {"state": "running"})
        assert client.get(f"/v1/retrain/{run_id}").json() == run | {"state": "running"}
        airflow.runs[run_id] = "success"
        told = client.get(f"/v1/retrain/{run_id}").json()
        assert told == run | {"state": "success", "s3": "file:///models/m-g1", "version": "m-g1"}

        others = [
            client.post("/v1/retrain", headers={"Idempotency-Key": "night 2"}),
            client.post("/v1/retrain"),
            client.post("/v1/retrain"),
            client.post("/v1/retrain", headers={"Idempotency-Key": "night 1"} | somebody_else),
        ]
    assert [other.status_code for other in others] == [202] * 4
    assert len(airflow.runs) == len({run_id, *(other.json()["run_id"] for other in others)}) == 5


def test_an_unknown_run_is_told(tmp_path: Path, airflow: FakeAirflow) -> None:
    with client_of(small_lake(tmp_path), **airflow.settings) as client:
        answer = client.get("/v1/retrain/nobody")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Airflow knows no run 'nobody' of the DAG nightly_retrain."


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"airflow_url": ""}, "FORMCAST_AIRFLOW_URL is not set: this API cannot retrain."),
        ({"airflow_url": "http://127.0.0.1:9"}, "Airflow does not answer: All connection attempts failed."),
        ({"airflow_password": "wrong"}, "Airflow does not let the user 'formcast' in (status 401)."),
    ],
)
def test_without_airflow_the_reason_is_told(
    tmp_path: Path, airflow: FakeAirflow, changed: dict[str, str], reason: str
) -> None:
    with client_of(small_lake(tmp_path), **airflow.settings | changed) as client:
        for answer in (client.post("/v1/retrain"), client.get("/v1/retrain/r1")):
            found = answer.json()
            assert (answer.status_code, found["type"], found["detail"]) == (
                503,
                "urn:formcast:problem:no-airflow",
                reason,
            )
        assert client.get("/v1/retrain").json() == {"s3": "file:///models/m-g1", "version": "m-g1"}
        assert client.get("/v1/forms/a").status_code == 200
