"""Whether the server is well and ready, and its metrics: for machines."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from speed.api import answers, problems
from speed.api.metrics import CONTENT_TYPE
from speed.api.openapi import JSON, TEXT, described, schema
from speed.api.routes import new_router
from speed.api.service import service_of
from speed.live import Live

router = new_router()


@router.get(
    "/healthz",
    summary="Whether the process is well",
    tags=["status"],
    **described(
        scope=None,
        answer={JSON: {"schema": schema(answers.Health)}},
        about="It is, even with nothing to answer from.",
    ),
)
async def healthz(request: Request) -> Response:
    return as_json(answers.Health())


@router.get(
    "/readyz",
    summary="Whether there is a verified generation to answer from",
    tags=["status"],
    **described(
        scope=None,
        answer={JSON: {"schema": schema(answers.Ready)}},
        about="There is. `refused` names a newer one that cannot be used.",
        kinds=[problems.NOT_READY],
    ),
)
async def readyz(request: Request) -> Response:
    live = service_of(request).live
    manifest = live.now().manifest
    return as_json(answers.Ready(manifest.generation, manifest.model_version, refused_in(live)))


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    tags=["status"],
    **described(
        scope="read", answer={TEXT: {"schema": {"type": "string"}}}, about="Over all workers of this server."
    ),
)
async def metrics(request: Request) -> Response:
    exposition = await asyncio.to_thread(service_of(request).metrics.exposition)
    return Response(exposition, headers={"Content-Type": CONTENT_TYPE})


def refused_in(live: Live) -> answers.RefusedGeneration | None:
    """The newer generation that cannot be answered from, where there is one."""
    return answers.RefusedGeneration(*live.refused) if live.refused else None


def as_json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type=JSON)
