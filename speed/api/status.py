"""What is live, and what it is from."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from speed.api import answers, problems
from speed.api.health import as_json, refused_in
from speed.api.openapi import HTML, JSON, described, schema
from speed.api.problems import ProblemError
from speed.api.routes import new_router
from speed.api.service import Service, service_of
from speed.errors import StoreError
from speed.live import Live

router = new_router()
LAST_RUNS = 10
# The report is one page of our own making: it needs its own style, and nothing else.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@router.get(
    "/v1/model",
    summary="The live model",
    tags=["status"],
    **described(
        scope="read",
        answer={JSON: {"schema": schema(answers.ModelAnswer)}},
        about="The live generation's manifest, and its model's: family, parameters, metrics, lineage.",
        kinds=[problems.NOT_READY],
    ),
)
async def model(request: Request) -> Response:
    generation = service_of(request).live.now()
    papers = await asyncio.to_thread(lambda: generation.papers)
    return as_json(answers.ModelAnswer(msgspec.to_builtins(generation.manifest), papers))


@router.get(
    "/v1/generations",
    summary="The generations that are kept",
    tags=["status"],
    **described(
        scope="read",
        answer={JSON: {"schema": schema(answers.GenerationList)}},
        about="Newest first.",
        kinds=[problems.STORE_FAILS],
    ),
)
async def generations(request: Request) -> Response:
    live = service_of(request).live
    kept = await asyncio.to_thread(live.generations.all)
    answering = live.generation.manifest.generation if live.generation else None
    listed = [msgspec.to_builtins(manifest) for manifest in kept]
    return as_json(
        answers.GenerationList(await asyncio.to_thread(_pointed, live), answering, refused_in(live), listed)
    )


@router.get(
    "/v1/status",
    summary="What is live, for people",
    tags=["status"],
    **described(scope="read", answer={JSON: {"schema": schema(answers.Status)}}, about="What the page at / shows."),
)
async def status(request: Request) -> Response:
    return as_json(await asyncio.to_thread(_status, service_of(request)))


@router.get(
    "/v1/report",
    summary="The report of the last run",
    tags=["status"],
    **described(
        scope="read",
        answer={HTML: {"schema": {"type": "string"}}},
        about="One HTML page.",
        kinds=[problems.NOT_FOUND],
    ),
)
async def report(request: Request) -> Response:
    file = _report_file(service_of(request))
    if file is None:
        raise ProblemError(
            problems.NOT_FOUND, "There is no report: no run has written one, or the lake is not local."
        )
    return FileResponse(file, media_type=HTML, headers={"Content-Security-Policy": REPORT_POLICY})


def _status(service: Service) -> answers.Status:
    live, traffic, now = service.live, service.metrics.traffic(), time.time()
    generation, uptime = live.generation, now - service.metrics.since
    manifest = generation.manifest if generation else None
    return answers.Status(
        ready=manifest is not None,
        generation=manifest.generation if manifest else None,
        model_version=manifest.model_version if manifest else None,
        model_family=generation.papers.get("family") if generation else None,
        scored_at=manifest.scored_at if manifest else None,
        age_seconds=round(now - manifest.scored_at.timestamp(), 1) if manifest else None,
        forms=manifest.count if manifest else None,
        streamed=live.streamed(),
        refused=refused_in(live),
        requests=traffic.requests,
        errors=traffic.errors,
        requests_per_second=round(traffic.requests / max(uptime, 1e-3), 2),
        latency_ms={
            f"p{share:.0%}".rstrip("%"): None if seconds is None else round(seconds * 1000, 3)
            for share, seconds in traffic.quantiles.items()
        },
        uptime_seconds=round(uptime, 1),
        runs=_runs(service),
        report="/v1/report" if _report_file(service) else None,
    )


def _pointed(live: Live) -> str | None:
    try:
        return live.generations.live_name()
    except StoreError:  # before the first generation; for another reason, `refused` says so
        return None


def _runs(service: Service) -> list[dict[str, Any]]:
    """The last runs as the last publish told them; none before it, or where the lake is not local."""
    try:
        content = Path(service.settings.serving, "runs.json").read_bytes()
    except FileNotFoundError:
        return []
    return msgspec.json.decode(content, type=list[dict[str, Any]])[-LAST_RUNS:]


def _report_file(service: Service) -> Path | None:
    file = Path(service.settings.lake, "reports", "latest.html")
    return file if file.is_file() else None
