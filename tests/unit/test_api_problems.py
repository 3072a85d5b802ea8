"""Every error is a problem document that says what is wrong and where; each is compared whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from speed.contract import FEATURES, N_FEATURES, unpack_features
from speed.errors import VectorError
from tests.api import client_of, small_lake, vector
from tests.unit.test_api_answers import ARROW, NDJSON, arrow_stream


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(small_lake(tmp_path_factory.mktemp("lake")), max_body_bytes=200_000, max_vectors=3) as client:
        yield client


def problem(code: str, title: str, status: int, detail: str, **members: Any) -> dict[str, Any]:
    told = {"type": f"urn:formcast:problem:{code}", "title": title, "status": status, "detail": detail}
    return told | members | {"request_id": "r-1"}


def bad_vector(detail: str, **members: Any) -> dict[str, Any]:
    return problem("bad-vector", "A vector breaks the contract", 422, detail, **members)


def bad_body(detail: str, **members: Any) -> dict[str, Any]:
    return problem("bad-body", "The body is not what is asked for", 422, detail, **members)


def bad_request(detail: str, **members: Any) -> dict[str, Any]:
    return problem("bad-request", "The request cannot be read", 400, detail, **members)


PACKED = "-".join(["0"] * N_FEATURES)
BODIES = [
    (
        {"features": PACKED.replace("0-0-", "0--3-", 1)},
        bad_vector(
            "Value 2 is empty (a negative value looks so too): it must be a non-negative decimal.", position=2
        ),
    ),
    ({"features": "0-x" + PACKED[3:]}, bad_vector("Value 2 is 'x': it must be a non-negative decimal.", position=2)),
    (
        {"features": "0-1"},
        bad_vector("There are 2 values, and 47 are needed, with '-' between them."),
    ),
    ({"features": [1.0]}, bad_vector("There are 1 values, and 47 are needed.")),
    (
        {"features": [*vector()[:-1], -1]},
        bad_vector("Value 47 is -1.0: it must be a finite number of at least 0.", position=47),
    ),
    (
        {"features": [*vector()[:-1], None]},
        bad_vector("Value 47 does not fit: Expected `float`, got `null`.", position=47),
    ),
    ({"features": 5}, bad_body("`features` does not fit: Expected `str | array`, got `int`.")),
    ({"features": PACKED, "views": -1}, bad_body("`views` does not fit: Expected `float` >= 0.0.")),
    ({"features": PACKED, "views": 1.5}, bad_body("`views` is 1.5: it must be a whole number.")),
    ({"features": PACKED, "view": 1}, bad_body("The body does not fit: Object contains unknown field `view`.")),
    ({}, bad_body("The body does not fit: Object missing required field `features`.")),
]


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_predict_says_where_a_vector_is_wrong(client: TestClient, body: Any, expected: dict[str, Any]) -> None:
    answer = client.post("/v1/predict", json=body, headers={"X-Request-ID": "r-1"})
    assert (answer.headers["content-type"], answer.headers["x-request-id"]) == ("application/problem+json", "r-1")
    assert (answer.status_code, answer.json()) == (expected["status"], expected)


GOOD = {"features": vector()}
TABLE = {name: [1.0, 1.0] for name in FEATURES}
BATCHES = [
    (
        "application/json",
        json.dumps({"vectors": [GOOD, {"features": [*vector()[:4], -2, *vector()[5:]]}]}),
        bad_vector(
            "Vector 1 (from 0): Value 5 is -2.0: it must be a finite number of at least 0.", position=5, index=1
        ),
    ),
    (
        NDJSON,
        json.dumps(GOOD) + "\n{nonsense\n",
        bad_request(
            "Vector 1 (from 0): This is no JSON: JSON is malformed: object keys must be strings (byte 1).", index=1
        ),
    ),
    (
        "application/json",
        json.dumps({"vectors": [GOOD] * 4}),
        problem(
            "too-large", "The request is too large", 413, "There are 4 vectors, and 3 may be: send them in parts."
        ),
    ),
    (
        ARROW,
        arrow_stream(pa.table(TABLE | {"feat_03": [1.0, None]})),
        bad_vector(
            "Vector 1 (from 0): Value 3 is nan: it must be a finite number of at least 0.", position=3, index=1
        ),
    ),
    (
        ARROW,
        arrow_stream(pa.table(TABLE | {"views": [1, -1]})),
        bad_body("Vector 1 (from 0): its views are negative.", index=1),
    ),
    (
        ARROW,
        arrow_stream(pa.table(TABLE | {"feat_03": ["1", "1"]})),
        bad_body("The column feat_03 is of the type string: it must hold numbers."),
    ),
    (
        ARROW,
        arrow_stream(pa.table(TABLE).drop(["feat_03"])),
        bad_body("The stream has 0 columns feat_03: it must have one."),
    ),
    (
        ARROW,
        arrow_stream(pa.table(TABLE), compression="zstd"),
        bad_body("The stream has compressed batches or dictionaries: send it without."),
    ),
    (
        ARROW,
        arrow_stream(pa.table({name: [1.0] * 4 for name in FEATURES})),
        problem(
            "too-large", "The request is too large", 413, "There are 4 vectors, and 3 may be: send them in parts."
        ),
    ),
    (
        "text/csv",
        "1,2",
        problem(
            "bad-media",
            "The body's format is not offered",
            415,
            "The Content-Type is 'text/csv', and it may be application/json, application/x-ndjson, "
            "application/vnd.apache.arrow.stream.",
        ),
    ),
]


@pytest.mark.parametrize(("media", "body", "expected"), BATCHES)
def test_batch_says_which_vector_is_wrong(
    client: TestClient, media: str, body: Any, expected: dict[str, Any]
) -> None:
    headers = {"Content-Type": media, "X-Request-ID": "r-1"}
    answer = client.post("/v1/predict/batch", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (expected["status"], expected)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\xff" * 64, arrow_stream(pa.table(TABLE))[:-200]])
def test_junk_is_no_arrow_stream(client: TestClient, junk: bytes) -> None:
    answer = client.post("/v1/predict/batch", content=junk, headers={"Content-Type": ARROW})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:formcast:problem:bad-request")


def test_unknown_forms_paths_and_methods_are_told_apart(client: TestClient) -> None:
    def told(method: str, path: str) -> tuple[int, str, Any]:
        answer = client.request(method, path)
        found = answer.json()
        return answer.status_code, found["type"].rpartition(":")[2], found.get("form_id")

    assert told("GET", "/v1/forms/nobody") == (404, "unknown-form", "nobody")
    assert told("GET", "/v1/forms/a%20b") == (404, "bad-form-id", "a b")
    assert told("GET", f"/v1/forms/{'x' * 257}") == (404, "bad-form-id", "x" * 257)
    assert told("GET", "/v1/forms/a?explain=maybe") == (400, "bad-request", None)
    assert told("GET", "/v1/forms/a?explian=true") == (400, "bad-request", None)
    assert told("POST", "/v1/predict?format=xml") == (400, "bad-request", None)
    assert told("GET", "/v2") == (404, "not-found", None)
    assert told("GET", "/static/../app.py") == (404, "not-found", None)
    assert told("DELETE", "/v1/predict") == (405, "bad-method", None)
    assert client.delete("/v1/predict").headers["allow"] == "POST"


def test_a_body_over_the_limit_is_refused_told_or_chunked(client: TestClient) -> None:
    for path, limit in (("/v1/predict", 1 << 16), ("/v1/predict/batch", 200_000)):
        for body in (b" " * (limit + 1), iter([b" " * (limit // 2)] * 3)):
            answer = client.post(path, content=body)
            sentence = f"A body may have {limit:,} bytes here: send less at once."
            assert (answer.status_code, answer.json()["detail"]) == (413, sentence)


def _naive(text: str) -> list[float] | int | None:
    """The values, the position of the first bad one, or None for another number of them."""
    parts = text.split("-")
    for position, part in enumerate(parts, 1):
        whole, _, decimals = part.partition(".")
        digits = whole + decimals
        if not (digits and all(sign in "0123456789" for sign in digits)) or float(part) == float("inf"):
            return position
    return [float(part) for part in parts] if len(parts) == N_FEATURES else None


_VALUE = st.one_of(
    st.from_regex(r"\A[0-9]{1,20}(\.[0-9]{0,20})?\Z"),
    st.sampled_from(["0.0", ".5", "5.", "", ".", "1e5", "٣", "nan", "1_0", " 1", "9" * 400, "0x1", "1..2"]),
)


@given(st.dictionaries(st.integers(0, 47), _VALUE, max_size=4), st.sampled_from([47, 47, 46, 48]))
def test_unpack_features_agrees_with_a_naive_reading(odd: dict[int, str], count: int) -> None:
    text = "-".join(odd.get(at, "1.5") for at in range(count))
    try:
        found: list[float] | int | None = unpack_features(text)
    except VectorError as error:
        found = error.position
    assert found == _naive(text)
