"""Live scoring of one vector."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from speed.api import problems
from speed.api.answers import Prediction, PredictRequest
from speed.api.bodies import read_vector
from speed.api.openapi import JSON, TEXT, described, parameter, schema
from speed.api.problems import ProblemError
from speed.api.routes import new_router, query
from speed.api.service import service_of
from speed.contract import N_FEATURES

router = new_router()
_encode = msgspec.json.Encoder().encode

EXAMPLE = {"features": "-".join(["0.0"] * (N_FEATURES - 1) + ["2.0"]), "views": 120}


@router.post(
    "/v1/predict",
    summary="The predicted rate of a vector",
    tags=["predict"],
    **described(
        scope="score",
        body={JSON: {"schema": schema(PredictRequest), "example": EXAMPLE}},
        answer={
            JSON: {"schema": schema(Prediction)},
            TEXT: {"schema": {"type": "string"}, "example": "0.4273"},
        },
        about="The rate, scored now by the live model. As text: the bare number.",
        parameters=[
            parameter(
                "format",
                "query",
                "`value` for the bare number, as for `Accept: text/plain`.",
                {"enum": ["json", "value"]},
            )
        ],
        kinds=[problems.BAD_REQUEST, problems.BAD_BODY, problems.BAD_VECTOR, problems.TOO_LARGE, problems.NOT_READY],
    ),
)
async def predict(request: Request) -> Response:
    bare = wants_value(request)
    values, views = read_vector(await request.body())
    generation = service_of(request).live.now()
    rate, lower, upper = generation.scorer.score_one(values, views)
    if bare:
        return Response(repr(rate), media_type=TEXT)
    manifest = generation.manifest
    return Response(
        _encode(Prediction(rate, lower, upper, manifest.model_version, manifest.generation)), media_type=JSON
    )


def wants_value(request: Request) -> bool:
    """Whether the bare number is asked for. Raises ProblemError for a format that is not offered."""
    wanted = query(request).get("format")
    if wanted is None:
        return TEXT in request.headers.get("accept", "")
    if wanted not in ("json", "value"):
        raise ProblemError(
            problems.BAD_REQUEST, f"The parameter format is {wanted[:40]!r}: it must be json or value."
        )
    return wanted == "value"
