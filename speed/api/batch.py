"""Live scoring of many vectors, as JSON, as lines of JSON, or as an Arrow stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from speed.api import problems
from speed.api.answers import BatchPrediction, BatchRequest, Rate
from speed.api.arrow import read_arrow, write_arrow
from speed.api.bodies import read, read_vector
from speed.api.openapi import ARROW, JSON, NDJSON, described, schema
from speed.api.predict import EXAMPLE
from speed.api.problems import ProblemError
from speed.api.routes import new_router
from speed.api.service import service_of
from speed.api.vectors import Vectors, check_count
from speed.contract import N_FEATURES
from speed.generations import Generation
from speed.scorer import Scored
from speed.stores.records import Manifest

router = new_router()
_encoder = msgspec.json.Encoder()


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    """A BatchRequest whose vectors are read one by one, so that the event loop gets its turn in between."""

    vectors: list[msgspec.Raw]


_decode_frame = msgspec.json.Decoder(_Frame).decode


class _Format(NamedTuple):
    read: Callable[[bytes, int], Vectors]
    write: Callable[[Scored, Manifest], bytes]


@router.post(
    "/v1/predict/batch",
    summary="The predicted rates of many vectors",
    tags=["predict"],
    **described(
        scope="score",
        body={
            JSON: {"schema": schema(BatchRequest), "example": {"vectors": [EXAMPLE]}},
            NDJSON: {"schema": {"type": "string"}, "example": f"{msgspec.json.encode(EXAMPLE).decode()}\n"},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
        answer={
            JSON: {"schema": schema(BatchPrediction)},
            NDJSON: {"schema": {"type": "string"}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
        about="One score a vector, in their order, in the format of the request.",
        headers={"Formcast-Generation": "What answered.", "Formcast-Model-Version": "The model that scored."},
        kinds=[
            *(problems.BAD_REQUEST, problems.BAD_BODY, problems.BAD_VECTOR),
            *(problems.TOO_SLOW, problems.TOO_LARGE, problems.BAD_MEDIA, problems.NOT_READY),
        ],
    ),
)
async def predict_batch(request: Request) -> Response:
    service = service_of(request)
    media = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if (chosen := _FORMATS.get(media)) is None:
        offered = ", ".join(_FORMATS)
        raise ProblemError(problems.BAD_MEDIA, f"The Content-Type is {media[:80]!r}, and it may be {offered}.")
    async with service.large_body(request) as body:
        generation = service.live.now()
        content = await service.in_thread(lambda: _answered(body, chosen, service.settings.max_vectors, generation))
    manifest = generation.manifest
    headers = {"Formcast-Generation": manifest.generation, "Formcast-Model-Version": manifest.model_version}
    return Response(content, headers=headers, media_type=media)


def _answered(body: bytes, chosen: _Format, limit: int, generation: Generation) -> bytes:
    vectors = chosen.read(body, limit)
    return chosen.write(generation.scorer.score(vectors.features, vectors.views), generation.manifest)


def read_json(body: bytes, limit: int) -> Vectors:
    return _read_vectors(read(_decode_frame, body).vectors, limit)


def read_lines(body: bytes, limit: int) -> Vectors:
    return _read_vectors([line for line in body.splitlines() if line.strip()], limit)


def _read_vectors(raw: list[msgspec.Raw] | list[bytes], limit: int) -> Vectors:
    check_count(len(raw), limit)
    features, views = np.empty((len(raw), N_FEATURES)), np.full(len(raw), np.nan)
    for index, one in enumerate(raw):
        features[index], seen = read_vector(one, index)
        if seen is not None:
            views[index] = seen
    return Vectors(features, views)


def write_json(scored: Scored, manifest: Manifest) -> bytes:
    return _encoder.encode(BatchPrediction(list(rates_of(scored)), manifest.model_version, manifest.generation))


def write_lines(scored: Scored, manifest: Manifest) -> bytes:
    return _encoder.encode_lines(rates_of(scored))


def rates_of(scored: Scored) -> Iterable[Rate]:
    """A bound that is NaN is none."""
    columns = (scored.rate.tolist(), scored.lower.tolist(), scored.upper.tolist())
    for rate, lower, upper in zip(*columns, strict=True):
        yield Rate(rate, lower if lower == lower else None, upper if upper == upper else None)  # noqa: PLR0124


_FORMATS = {
    JSON: _Format(read_json, write_json),
    NDJSON: _Format(read_lines, write_lines),
    ARROW: _Format(read_arrow, write_arrow),
}
