"""Look-ups: the score of a form that counts now, precomputed or streamed."""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from speed.api import problems
from speed.api.answers import FormScore, FormScores, LookupRequest
from speed.api.bodies import read
from speed.api.explaining import with_details
from speed.api.openapi import JSON, described, parameter, schema
from speed.api.problems import ProblemError
from speed.api.routes import flag, new_router
from speed.api.service import Service, service_of
from speed.contract import FORM_ID_PATTERN
from speed.live import Found, Live
from speed.reasons import REASONS, id_reasons

router = new_router()
_encode = msgspec.json.Encoder().encode
_decode_lookup = msgspec.json.Decoder(LookupRequest).decode

_FORM_ID = parameter(
    "form_id", "path", "The form; percent-encoded.", {"type": "string", "pattern": f"^{FORM_ID_PATTERN}$"}, "10000044"
)
_FLAG = {"type": "boolean", "default": False}


@router.get(
    "/v1/forms/{form_id:path}",
    summary="The score of a form",
    tags=["forms"],
    **described(
        scope="read",
        answer={JSON: {"schema": schema(FormScore)}},
        about="The form's score: of last night (batch), or of newer data since (stream).",
        parameters=[
            _FORM_ID,
            parameter("explain", "query", "Add what each feature contributes.", _FLAG),
            parameter("features", "query", "Add the 47 features that the score was made from.", _FLAG),
        ],
        kinds=[problems.UNKNOWN_FORM, problems.BAD_FORM_ID, problems.BAD_REQUEST, problems.STORE_FAILS],
    ),
)
async def form(request: Request) -> Response:
    service = service_of(request)
    form_id: str = request.path_params["form_id"]
    if reasons := id_reasons(form_id):
        raise ProblemError(
            problems.BAD_FORM_ID, f"This can be no form id: {REASONS[reasons[0]]}.", form_id=form_id[:300]
        )
    explain, features = flag(request, "explain"), flag(request, "features")
    found = await _found(service, form_id)
    if found is None:
        service.metrics.hits["miss"].inc()
        raise ProblemError(problems.UNKNOWN_FORM, _unknown(service.live, form_id), form_id=form_id)
    service.metrics.hits[found.origin].inc()
    answer = answer_of(found, time.time())
    if explain or features:
        answer = await service.in_thread(lambda: with_details(answer, found, explain=explain, features=features))
    return Response(_encode(answer), media_type=JSON)


@router.post(
    "/v1/forms:lookup",
    summary="The scores of many forms",
    tags=["forms"],
    **described(
        scope="read",
        body={JSON: {"schema": schema(LookupRequest), "example": {"form_ids": ["10000044", "10000045"]}}},
        answer={JSON: {"schema": schema(FormScores)}},
        about="The scores of those that are known, all beside one generation.",
        kinds=[
            *(problems.BAD_REQUEST, problems.BAD_BODY),
            *(problems.TOO_SLOW, problems.TOO_LARGE, problems.STORE_FAILS),
        ],
    ),
)
async def lookup(request: Request) -> Response:
    service = service_of(request)
    async with service.large_body(request) as body:
        asked = read(_decode_lookup, body).form_ids
        if len(asked) > (limit := service.settings.max_vectors):
            raise ProblemError(
                problems.TOO_LARGE, f"There are {len(asked):,} ids, and {limit:,} may be: send them in parts."
            )
        return Response(await service.in_thread(lambda: _encode(_looked_up(service, asked))), media_type=JSON)


def answer_of(found: Found, now: float) -> FormScore:
    """now: seconds since 1970."""
    score, entry, manifest = found.score, found.entry, found.generation.manifest
    scored_at = manifest.scored_at if entry is None else entry.scored_at
    return FormScore(
        form_id=score.form_id,
        rate=score.predicted_rate,
        lower=score.lower,
        upper=score.upper,
        views=score.views,
        completion_rate=score.completion_rate,
        origin=found.origin,
        scored_at=scored_at,
        age_seconds=round(now - scored_at.timestamp(), 1),
        model_version=manifest.model_version if entry is None else entry.model_version,
        generation=manifest.generation if entry is None else entry.generation,
    )


async def _found(service: Service, form_id: str) -> Found | None:
    if service.stores_are_remote:
        return await asyncio.to_thread(service.live.find, form_id)
    return service.live.find(form_id)


def _looked_up(service: Service, asked: list[str]) -> FormScores:
    """An id that can be none is as unknown as any other."""
    possible = [one for one in dict.fromkeys(asked) if not id_reasons(one)]
    generation, found = service.live.find_many(possible)
    now = time.time()
    forms = [answer_of(one, now) for one in found]
    known = {one.form_id for one in forms}
    unknown = [one for one in dict.fromkeys(asked) if one not in known]
    for origin in ("batch", "stream"):
        service.metrics.hits[origin].inc(sum(one.origin == origin for one in forms))
    service.metrics.hits["miss"].inc(len(unknown))
    return FormScores(forms, unknown, generation.manifest.generation)


def _unknown(live: Live, form_id: str) -> str:
    return (
        f"Form {form_id!r} is not in generation {live.now().manifest.generation}, and was not streamed since: "
        "its id is wrong, its line was refused, or it is newer than the last dump."
    )
