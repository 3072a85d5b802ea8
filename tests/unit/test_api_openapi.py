"""The OpenAPI document is whole, and the API keeps it whatever is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from starlette.types import ASGIApp, Receive, Scope, Send

from speed.api.app import create_app
from tests.api import key_header, settings_of, small_lake
from tests.unit.test_api_retrain import running_airflow

EVERY = {
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": "read",
    "GET /v1/forms/{form_id}": "read",
    "POST /v1/forms:lookup": "read",
    "GET /v1/generations": "read",
    "GET /v1/model": "read",
    "POST /v1/predict": "score",
    "POST /v1/predict/batch": "score",
    "GET /v1/report": "read",
    "GET /v1/retrain": "read",
    "POST /v1/retrain": "retrain",
    "GET /v1/retrain/{run_id}": "retrain",
    "GET /v1/status": "read",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    lake = small_lake(tmp_path_factory.mktemp("lake"))
    header = key_header(lake)
    (lake / "reports").mkdir()
    (lake / "reports" / "latest.html").write_text("<h1>Night</h1>")
    with running_airflow() as airflow:
        app = create_app(settings_of(lake, max_vectors=50, **airflow.settings))
        app.state.header = header
        app.state.service.live.look()
        yield app
        app.state.service.live.close()


@pytest.mark.parametrize(
    ("name", "mode"),
    # What takes nothing cannot be asked wrongly.
    [(name, mode) for name, scope in EVERY.items() for mode in GenerationMode if scope or mode.is_positive],
)
def test_api_keeps_its_document(app: FastAPI, name: str, mode: GenerationMode) -> None:
    method, path = name.split()
    operation = schemathesis.openapi.from_asgi("/openapi.json", _started(app))[path][method]

    @settings(
        max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(mode))
    def check(case: Case) -> None:
        case.call_and_validate(headers=app.state.header)

    check()


def _started(app: FastAPI) -> ASGIApp:
    """The application, which takes no part in being started and stopped around each request."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    return asgi


def test_document_names_every_route_its_scope_and_its_problems(app: FastAPI) -> None:
    document = app.openapi()
    scopes = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            (needed,) = operation["security"]
            scopes[f"{method.upper()} {path}"] = needed["key"][0] if needed else None
            for status, answer in operation["responses"].items():
                assert ("application/problem+json" in answer["content"]) == (status >= "400")
    assert scopes == EVERY
    referred = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {name.partition('"')[0] for name in referred} <= set(document["components"]["schemas"])
