"""Where the live model is, and having it made anew."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from speed.api import problems
from speed.api.answers import ModelPlace, RetrainRun
from speed.api.openapi import JSON, described, parameter, schema
from speed.api.problems import ProblemError
from speed.api.retraining import DAG, run_id_for
from speed.api.routes import new_router
from speed.api.service import Service, service_of

router = new_router()
_MAX_KEY = 255
_RUN_ID = parameter(
    "run_id",
    "path",
    "The run.",
    {"type": "string", "pattern": "^[A-Za-z0-9_.~:+-]+$"},
    "api-3f0c9a1be2d4475a90c1d2e3",
)
_KEY = {"type": "string", "minLength": 1, "maxLength": _MAX_KEY}


@router.get(
    "/v1/retrain",
    summary="Where the live model is",
    tags=["retrain"],
    **described(
        scope="read",
        answer={JSON: {"schema": schema(ModelPlace)}},
        about="The model that answers now. Nothing is started.",
        kinds=[problems.NOT_READY],
    ),
)
async def place(request: Request) -> Response:
    return Response(msgspec.json.encode(_place(service_of(request))), media_type=JSON)


@router.post(
    "/v1/retrain",
    summary="Start a retraining",
    tags=["retrain"],
    **described(
        scope="retrain",
        status=202,
        answer={JSON: {"schema": schema(RetrainRun)}},
        about=f"A run of the DAG {DAG} was started, or had been under this Idempotency-Key.",
        parameters=[
            parameter("Idempotency-Key", "header", "The same key starts one run, however often it is sent.", _KEY)
        ],
        headers={"Location": "The run's status."},
        kinds=[problems.BAD_REQUEST, problems.NO_AIRFLOW],
    ),
)
async def start(request: Request) -> Response:
    service = service_of(request)
    idempotency_key = request.headers.get("idempotency-key")
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= _MAX_KEY:
        raise ProblemError(problems.BAD_REQUEST, f"An Idempotency-Key has 1 to {_MAX_KEY} characters.")
    run_id = run_id_for(request.scope["key"].id, idempotency_key)
    run = _run(request, run_id, await service.airflow.trigger(run_id))
    return Response(msgspec.json.encode(run), 202, {"Location": run.status_url}, JSON)


@router.get(
    "/v1/retrain/{run_id}",
    summary="How far a retraining is",
    tags=["retrain"],
    **described(
        scope="retrain",
        answer={JSON: {"schema": schema(RetrainRun)}},
        about="The run's state; once it succeeded, with the model that is live.",
        parameters=[_RUN_ID],
        kinds=[problems.UNKNOWN_RUN, problems.NO_AIRFLOW, problems.NOT_READY],
    ),
)
async def progress(request: Request) -> Response:
    service, run_id = service_of(request), request.path_params["run_id"]
    if (state := await service.airflow.state(run_id)) is None:
        raise ProblemError(problems.UNKNOWN_RUN, f"Airflow knows no run {run_id[:250]!r} of the DAG {DAG}.")
    run = _run(request, run_id, state)
    if state == "success":
        live = _place(service)
        run = msgspec.structs.replace(run, s3=live.s3, version=live.version)
    return Response(msgspec.json.encode(run), media_type=JSON)


def _place(service: Service) -> ModelPlace:
    manifest = service.live.now().manifest
    return ModelPlace(manifest.model_uri, manifest.model_version)


def _run(request: Request, run_id: str, state: str) -> RetrainRun:
    base = service_of(request).settings.public_url or str(request.base_url)
    return RetrainRun(run_id, state, f"{base.rstrip('/')}/v1/retrain/{run_id}")
