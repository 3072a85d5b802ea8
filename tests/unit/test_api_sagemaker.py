"""The API as a SageMaker endpoint: its formats, beside the routes with keys; and `serve`, as the image starts it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from speed.api.app import check_settings, create_app
from speed.settings import ServeSettings
from tests.api import client_of, settings_of, small_lake, vector
from tests.integration.test_api import until

ROWS = [vector(0.25), [0.0] * 46 + [1e-05], vector(3)]
VIEWS = [120, None, 0]
PACKED = "-".join(map(str, ROWS[2]))
CSV = f"{','.join(map(str, ROWS[0]))},120\n{', '.join(map(str, ROWS[1]))}\r\n\n{PACKED},0.0"
VECTORS = [
    {"features": row} | ({} if views is None else {"views": views}) for row, views in zip(ROWS, VIEWS, strict=True)
]
LINES = "\n".join(map(json.dumps, VECTORS))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(small_lake(tmp_path_factory.mktemp("lake")), sagemaker=True, max_vectors=50) as client:
        yield client


def invoke(client: TestClient, body: str | bytes, media: str, accept: str | None = None) -> httpx.Response:
    """As SageMaker does it: with no key."""
    headers = {"Content-Type": media, "Accept": accept or "*/*"}
    without_key = client.build_request("POST", "/invocations", content=body, headers=headers)
    del without_key.headers["Authorization"]
    return client.send(without_key)


def test_every_format_gives_the_scores_of_the_batch_route(client: TestClient) -> None:
    expected = client.post("/v1/predict/batch", json={"vectors": VECTORS}).json()
    scores = expected["scores"]
    as_csv = "".join(
        ",".join("" if value is None else repr(value) for value in (one["rate"], one["lower"], one["upper"])) + "\n"
        for one in scores
    )
    bodies = {
        "application/json": json.dumps({"vectors": VECTORS}),
        "application/jsonlines": LINES,
        "application/x-ndjson": LINES,
        "text/csv": CSV,
        "text/csv; charset=utf-8": "\ufeff" + CSV,
    }
    for media, body in bodies.items():
        answers = {
            accept: invoke(client, body, media, accept)
            for accept in (None, "application/json", "text/csv, */*", "application/jsonlines;q=0.9", "image/png,*/*")
        }
        assert {answer.status_code for answer in answers.values()} == {200}
        told = {answer.headers["x-amzn-sagemaker-custom-attributes"] for answer in answers.values()}
        assert told == {"generation=g1,model_version=m-g1"}
        assert answers["application/json"].json() == expected
        assert answers["text/csv, */*"].text == as_csv
        assert [json.loads(line) for line in answers["application/jsonlines;q=0.9"].text.splitlines()] == scores
        for default in (None, "image/png,*/*"):
            assert answers[default].headers["content-type"].partition(";")[0] == media.partition(";")[0]


def test_a_single_vector_is_answered_as_by_predict(client: TestClient) -> None:
    for one in VECTORS:
        body = json.dumps(one)
        expected = client.post("/v1/predict", content=body).json()
        assert invoke(client, body, "application/json").json() == expected
        bare = invoke(client, body, "application/json", "text/csv").text
        assert bare.partition(",")[0] == repr(expected["rate"])


@pytest.mark.parametrize(
    ("media", "body", "code", "detail"),
    [
        ("text/csv", f"{CSV}\n1,2,x", "422 bad-vector", "Vector 3 (from 0): Value 3 is 'x'"),
        ("text/csv", ",".join(["0"] * 46), "422 bad-vector", "There are 46 values"),
        ("text/csv", ",".join(["0"] * 46 + ["-1"]), "422 bad-vector", "Value 47 is -1.0"),
        ("text/csv", ",".join(["0"] * 46 + ["nan"]), "422 bad-vector", "Value 47 is nan"),
        ("text/csv", ",".join(["0"] * 47 + ["-3"]), "422 bad-body", "behind its features is '-3'"),
        ("text/csv", ",".join(["0"] * 49), "422 bad-body", "behind its features is '0,0'"),
        ("text/csv", "feat_01", "422 bad-vector", "Vector 0 (from 0): Value 1 is 'feat_01'"),
        ("text/csv", b"\xff\xfe", "400 bad-request", "no UTF-8"),
        ("text/csv", "\n".join([PACKED] * 51), "413 too-large", "There are 51 vectors"),
        ("application/json", "[1, 2]", "422 bad-body", "The body does not fit"),
        ("application/json", "{", "400 bad-request", "no JSON"),
        ("application/json", '{"instances": []}', "422 bad-body", "Object contains unknown field `instances`"),
        ("application/jsonlines", '{"features": "1"}', "422 bad-vector", "There are 1 values"),
        ("application/x-parquet", "", "415 bad-media", "it may be application/json"),
    ],
)
def test_what_is_wrong_is_said_and_where(
    client: TestClient, media: str, body: str | bytes, code: str, detail: str
) -> None:
    answer = invoke(client, body, media)
    problem = answer.json()
    assert f"{answer.status_code} {problem['type']}" == code.replace(" ", " urn:formcast:problem:")
    assert detail in problem["detail"]


def test_an_answer_that_is_not_offered_is_no_answer(client: TestClient) -> None:
    assert invoke(client, CSV, "text/csv", "image/png").json()["type"] == "urn:formcast:problem:bad-accept"


def test_only_where_sagemaker_is_meant_nobody_is_asked_for_a_key(tmp_path: Path) -> None:
    with client_of(small_lake(tmp_path)) as client:
        assert {client.get("/ping").status_code, invoke(client, CSV, "text/csv").status_code} == {404}
    with client_of(tmp_path, sagemaker=True) as client:
        del client.headers["Authorization"]
        assert client.get("/v1/forms/a").status_code == 401
        assert "/invocations" in client.get("/openapi.json").json()["paths"]
    check_settings(ServeSettings(lake="s3://bucket/lake", sagemaker=True))  # no file of keys is asked for either


def test_ping_waits_for_a_generation(tmp_path: Path) -> None:
    with client_of(tmp_path, sagemaker=True) as client:
        assert client.get("/ping").status_code == 503
        small_lake(tmp_path)
        until(lambda: client.get("/ping").status_code == 200)


def test_ping_is_answered_when_all_else_is_refused(tmp_path: Path) -> None:
    """SageMaker restarts what does not answer it."""

    async def ask() -> tuple[int, int, int]:
        app = create_app(settings_of(small_lake(tmp_path), sagemaker=True, max_in_flight=1))
        app.state.service.live.look()
        release = asyncio.Event()

        async def slow_body() -> AsyncIterator[bytes]:
            await release.wait()
            yield CSV.encode()

        headers = {"Content-Type": "text/csv"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            slow = asyncio.create_task(client.post("/invocations", content=slow_body(), headers=headers))
            await asyncio.sleep(0)
            refused = await client.post("/invocations", content=CSV, headers=headers)
            ping = await client.get("/ping")
            release.set()
            answers = (await slow, refused, ping)
        app.state.service.live.close()
        return tuple(answer.status_code for answer in answers)

    assert asyncio.run(ask()) == (200, 503, 200)


def test_the_image_serves_as_sagemaker_starts_it(tmp_path: Path) -> None:
    environment = os.environ | {"FORMCAST_LAKE": str(small_lake(tmp_path)), "SAGEMAKER_BIND_TO_PORT": "0"}
    environment |= {"FORMCAST_PORT": "8000", "FORMCAST_HOST": "127.0.0.1"}  # as the image has it
    log = tmp_path / "log"
    with log.open("w") as err:
        command = [sys.executable, "-m", "speed", "serve"]
        process = subprocess.Popen(command, env=environment, stderr=err, stdout=subprocess.DEVNULL)
    try:
        port = until(lambda: re.search(r"http://0\.0\.0\.0:(\d+)", log.read_text()))[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            until(lambda: "startup complete" in log.read_text() and http.get("/ping").status_code == 200)
            answer = http.post("/invocations", content=CSV, headers={"Content-Type": "text/csv"})
            assert len(answer.text.splitlines()) == len(ROWS)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert "keys" not in log.read_text()
