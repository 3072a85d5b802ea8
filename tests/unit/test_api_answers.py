"""What the API answers, whole, beside the stores and the scorer asked directly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from speed.contract import FEATURES
from speed.generations import Generation
from tests.api import client_of, entry, small_lake, vector
from tests.generations import SCORED_AT

NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(small_lake(tmp_path_factory.mktemp("lake"))) as client:
        yield client


@pytest.fixture
def live(client: TestClient) -> Generation:
    return client.app.state.service.live.now()


def test_form_answers_what_was_published(client: TestClient, live: Generation) -> None:
    score = live.store.get("a")
    youngest = (datetime.now(UTC) - SCORED_AT).total_seconds()
    found = client.get("/v1/forms/a").json()
    age = found.pop("age_seconds")
    assert found == {
        "form_id": "a",
        "rate": score.predicted_rate,
        "lower": score.lower,
        "upper": score.upper,
        "views": 100,
        "completion_rate": 0.3,
        "origin": "batch",
        "scored_at": "2026-11-20T02:00:00Z",
        "model_version": "m-g1",
        "generation": "g1",
    }
    assert youngest - 1 <= age <= (datetime.now(UTC) - SCORED_AT).total_seconds() + 1


def test_form_without_views_has_no_interval_and_an_id_may_hold_a_slash(client: TestClient) -> None:
    found = client.get("/v1/forms/b%2F%C3%BC").json()
    assert (found["form_id"], found["lower"], found["upper"], found["completion_rate"]) == ("b/ü", None, None, None)
    assert found["rate"] == pytest.approx(0.69)


def test_explanation_adds_up_to_the_published_rate(client: TestClient) -> None:
    found = client.get("/v1/forms/a?explain=true&features=true").json()
    told = found["explanation"]
    assert found["features"] == vector(2)
    assert list(told["contributions"]) == list(FEATURES)
    assert told["contributions"]["feat_01"] == pytest.approx(0.02)
    total = told["base"] + sum(told["contributions"].values()) + told["calibration"]
    assert total == pytest.approx(found["rate"], abs=1e-12)


def test_streamed_score_counts_where_its_data_is_newer(client: TestClient) -> None:
    later, earlier = SCORED_AT + timedelta(hours=1), SCORED_AT - timedelta(hours=1)
    realtime = client.app.state.service.live.realtime
    realtime.put([entry("new", 5, later), entry("a", 100, earlier), entry("b/ü", 7, earlier)])
    asked = {"form_ids": ["a", "new", "gone", "b/ü", "a", "not an id"]}
    many = client.post("/v1/forms:lookup", json=asked).json()
    assert [(one["form_id"], one["origin"], one["generation"]) for one in many["forms"]] == [
        ("a", "batch", "g1"),  # as many views, and seen before the night's cut-off
        ("new", "stream", "g-old"),
        ("b/ü", "stream", "g-old"),
    ]
    assert many["unknown"] == ["gone", "not an id"]
    one = client.get("/v1/forms/new?explain=true&features=true").json()
    assert (one["rate"], one["scored_at"], one["features"]) == (0.5, "2026-11-21T00:00:00Z", vector(5))
    # The model that streamed it is no longer there: the live one takes its own score apart.
    assert (one["explanation"]["model_version"], one["explanation"]["rate"]) == ("m-g1", pytest.approx(0.71))
    realtime.prune(lambda _: False)


@pytest.mark.parametrize("views", [None, 0, 40])
def test_predict_answers_as_the_scorer_packed_or_not(client: TestClient, live: Generation, views: int | None) -> None:
    rate, lower, upper = live.scorer.score_one(vector(4), views)
    expected = {"rate": rate, "lower": lower, "upper": upper, "model_version": "m-g1", "generation": "g1"}
    for features in (vector(4), "-".join(map(str, vector(4)))):
        assert client.post("/v1/predict", json={"features": features, "views": views}).json() == expected


def test_predict_answers_the_bare_number_to_who_asks_for_it(client: TestClient, live: Generation) -> None:
    body = {"features": vector(4)}
    expected = live.scorer.score_one(vector(4))[0]
    for answer in (
        client.post("/v1/predict?format=value", json=body),
        client.post("/v1/predict", json=body, headers={"Accept": "text/plain"}),
    ):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert float(answer.text) == expected


def test_batches_answer_alike_in_every_format(client: TestClient, live: Generation) -> None:
    rows, views = [vector(1), vector(2), vector(3)], [10, None, 0]
    single = [
        dict(zip(("rate", "lower", "upper"), live.scorer.score_one(*one), strict=True))
        for one in zip(rows, views, strict=True)
    ]
    vectors = [{"features": row, "views": seen} for row, seen in zip(rows, views, strict=True)]
    vectors[1]["features"] = "-".join(map(str, rows[1]))
    table = pa.table(
        {"form_id": ["x", "y", "z"], "views": views} | dict(zip(FEATURES, zip(*rows, strict=True), strict=True))
    )

    as_json = client.post("/v1/predict/batch", json={"vectors": vectors})
    as_lines = _post(client, "\n".join(map(json.dumps, vectors)).encode(), NDJSON)
    as_arrow = _post(client, arrow_stream(table), ARROW)

    assert as_json.json() == {"scores": single, "model_version": "m-g1", "generation": "g1"}
    assert [json.loads(line) for line in as_lines.text.splitlines()] == single
    read = pa.ipc.open_stream(as_arrow.content).read_all()
    assert read.to_pylist() == single
    assert read.schema.metadata == {b"generation": b"g1", b"model_version": b"m-g1"}
    assert {one.headers["formcast-generation"] for one in (as_json, as_lines, as_arrow)} == {"g1"}


def test_model_generations_and_status_say_what_is_live(client: TestClient, live: Generation) -> None:
    manifest = msgspec.to_builtins(live.manifest)
    assert client.get("/v1/model").json() == {"generation": manifest, "model": live.papers}
    assert client.get("/v1/generations").json() == {
        "live": "g1",
        "answering": "g1",
        "refused": None,
        "generations": [manifest],
    }
    assert client.get("/v1/retrain").json() == {"s3": "file:///models/m-g1", "version": "m-g1"}
    assert client.get("/readyz").json() == {
        "status": "ready",
        "generation": "g1",
        "model_version": "m-g1",
        "refused": None,
    }
    status = client.get("/v1/status").json()
    assert (status["generation"], status["model_family"], status["forms"], status["runs"]) == ("g1", "linear", 2, [])
    assert status["latency_ms"]["p50"] <= status["latency_ms"]["p99"]


def test_status_and_report_are_those_of_the_lake(tmp_path: Path) -> None:
    lake = small_lake(tmp_path)
    runs = [{"run_id": f"r{at}", "status": "succeeded"} for at in range(12)]
    (lake / "serving" / "runs.json").write_text(json.dumps(runs))
    (lake / "reports").mkdir()
    (lake / "reports" / "latest.html").write_text("<h1>Night</h1>")
    with client_of(lake, "read") as client:
        status = client.get("/v1/status").json()
        assert (status["runs"], status["report"]) == (runs[-10:], "/v1/report")
        report = client.get("/v1/report")
    assert report.text == "<h1>Night</h1>"
    assert "default-src 'none'" in report.headers["content-security-policy"]


def test_metrics_count_requests_look_ups_and_what_is_live(tmp_path: Path) -> None:
    with client_of(small_lake(tmp_path)) as client:
        for path in ("/v1/forms/a", "/v1/forms/a", "/v1/forms/nobody"):
            client.get(path)
        lines = client.get("/metrics").text.splitlines()
    assert {
        'formcast_requests_total{route="/v1/forms/{form_id}",status="200"} 2.0',
        'formcast_requests_total{route="/v1/forms/{form_id}",status="404"} 1.0',
        'formcast_request_seconds_count{route="/v1/forms/{form_id}"} 3.0',
        'formcast_store_lookups_total{origin="batch"} 2.0',
        'formcast_store_lookups_total{origin="miss"} 1.0',
        'formcast_generation_info{generation="g1",model_version="m-g1"} 1.0',
        "formcast_ready 1.0",
        "formcast_generation_refused 0.0",
        "formcast_streamed_entries 0.0",
    } <= set(lines)


def _post(client: TestClient, body: bytes, media: str):
    return client.post("/v1/predict/batch", content=body, headers={"Content-Type": media})


def arrow_stream(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
