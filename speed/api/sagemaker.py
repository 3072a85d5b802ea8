"""`/ping` and `/invocations`: with them the server is a SageMaker endpoint, where IAM stands in for API keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from speed.api import answers, batch, problems
from speed.api.bodies import read, read_vector
from speed.api.csv_vectors import CSV_PATTERN, read_csv, write_csv
from speed.api.health import readyz
from speed.api.openapi import CSV, JSON, JSONLINES, NDJSON, described, schema
from speed.api.problems import ProblemError
from speed.api.routes import new_router
from speed.api.service import Service, service_of
from speed.api.vectors import Vectors
from speed.generations import Generation
from speed.scorer import Scored
from speed.stores.records import Manifest

router = new_router()
_encode = msgspec.json.Encoder().encode
_TOLD = "X-Amzn-SageMaker-Custom-Attributes"
"""The one header of an answer that SageMaker hands on."""


class _Probe(msgspec.Struct):
    """Tells the body of many vectors from that of one."""

    vectors: msgspec.Raw | UnsetType = UNSET


_decode_probe = msgspec.json.Decoder(_Probe).decode


class _Asked(NamedTuple):
    """alone: whether the one vector was asked for as one, not as a list of one."""

    vectors: Vectors
    alone: bool = False


@router.get(
    "/ping",
    summary="Whether SageMaker may send requests",
    tags=["sagemaker"],
    **described(
        scope=None,
        answer={JSON: {"schema": schema(answers.Ready)}},
        about="It may.",
        kinds=[problems.NOT_READY],
    ),
)
async def ping(request: Request) -> Response:
    return await readyz(request)


@router.post(
    "/invocations",
    summary="The predicted rates of vectors, as SageMaker asks",
    tags=["sagemaker"],
    **described(
        scope=None,
        body={
            JSON: {"schema": {"anyOf": [schema(answers.PredictRequest), schema(answers.BatchRequest)]}},
            JSONLINES: {"schema": {"type": "string"}},
            NDJSON: {"schema": {"type": "string"}},
            CSV: {"schema": {"type": "string", "pattern": CSV_PATTERN}},
        },
        answer={
            JSON: {"schema": {"anyOf": [schema(answers.Prediction), schema(answers.BatchPrediction)]}},
            JSONLINES: {"schema": {"type": "string"}},
            NDJSON: {"schema": {"type": "string"}},
            CSV: {"schema": {"type": "string"}, "example": "0.4273,0.31,0.55\n"},
        },
        about="One score a vector, in their order, in the format of `Accept`, else in that of the request.",
        headers={_TOLD: "What answered: generation=...,model_version=..."},
        kinds=[
            *(problems.BAD_REQUEST, problems.BAD_BODY, problems.BAD_VECTOR, problems.TOO_SLOW, problems.TOO_LARGE),
            *(problems.BAD_MEDIA, problems.BAD_ACCEPT, problems.NOT_READY),
        ],
    ),
)
async def invocations(request: Request) -> Response:
    service = service_of(request)
    media = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if (read_body := _READERS.get(media)) is None:
        raise ProblemError(
            problems.BAD_MEDIA, f"The Content-Type is {media[:80]!r}, and it may be {', '.join(_READERS)}."
        )
    accepted = _accepted(request.headers.get("accept", ""), media)
    async with service.large_body(request) as body:
        generation = service.live.now()
        content = await service.in_thread(lambda: _answered(service, generation, read_body, body, accepted))
    manifest = generation.manifest
    told = f"generation={manifest.generation},model_version={manifest.model_version}"
    return Response(content, headers={_TOLD: told}, media_type=accepted)


def _accepted(accept: str, default: str) -> str:
    """The first format of the header that is offered. Raises ProblemError where none is."""
    wanted = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    for media in wanted:
        if media in ("", "*/*"):
            return default
        if media in _WRITERS:
            return media
    raise ProblemError(problems.BAD_ACCEPT, f"Accept is {accept[:80]!r}, and it may name {', '.join(_WRITERS)}.")


def _answered(
    service: Service, generation: Generation, read_body: Callable[[bytes, int], _Asked], body: bytes, accepted: str
) -> bytes:
    asked = read_body(body, service.settings.max_vectors)
    scored = generation.scorer.score(asked.vectors.features, asked.vectors.views)
    if asked.alone and accepted == JSON:
        return _write_one(scored, generation.manifest)
    return _WRITERS[accepted](scored, generation.manifest)


def _read_json(body: bytes, limit: int) -> _Asked:
    if read(_decode_probe, body).vectors is not UNSET:
        return _Asked(batch.read_json(body, limit))
    values, views = read_vector(body)
    return _Asked(Vectors(np.array([values]), np.array([np.nan if views is None else views])), alone=True)


def _read_lines(body: bytes, limit: int) -> _Asked:
    return _Asked(batch.read_lines(body, limit))


def _read_csv(body: bytes, limit: int) -> _Asked:
    return _Asked(read_csv(body, limit))


def _write_one(scored: Scored, manifest: Manifest) -> bytes:
    (one,) = batch.rates_of(scored)
    told = (manifest.model_version, manifest.generation)
    return _encode(answers.Prediction(one.rate, one.lower, one.upper, *told))


_READERS = {JSON: _read_json, JSONLINES: _read_lines, NDJSON: _read_lines, CSV: _read_csv}
_WRITERS = {JSON: batch.write_json, JSONLINES: batch.write_lines, NDJSON: batch.write_lines, CSV: write_csv}
