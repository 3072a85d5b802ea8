"""The application: `create_app` puts live scores, keys, routes and the guard together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from speed.api import batch, forms, health, openapi, pages, predict, problems, retrain, sagemaker, status
from speed.api.access_log import AccessLog
from speed.api.calls import is_loopback
from speed.api.guard import Guard
from speed.api.keys import Keys
from speed.api.metrics import Metrics
from speed.api.problems import ProblemError
from speed.api.retraining import Airflow
from speed.api.service import Service
from speed.errors import SpeedError
from speed.live import Live
from speed.settings import ServeSettings
from speed.sources import open_sources

log = logging.getLogger("formcast.api")

START_SECONDS = 10
"""For so long a worker waits for its first generation before it takes requests; then it answers that it has none."""

SWITCH_SECONDS = 0.0005
"""For so long a batch's thread may hold up the event loop, a tenth of Python's default."""


def create_app(settings: ServeSettings | None = None) -> FastAPI:
    """A worker's application. Raises SpeedError where the settings make no safe API."""
    settings = settings or ServeSettings()
    check_settings(settings)
    live = Live(*open_sources(settings))
    service = Service(settings, live, Keys(settings.keys_path), Metrics(live), Airflow(settings))
    access_log = AccessLog(sys.stdout.fileno()) if settings.access_log else None

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(live.look), START_SECONDS)
        watchers = [
            asyncio.create_task(_every(settings.watch_seconds, look))
            for look in (live.look, service.keys.look, _end_with_parent)
        ]
        gc.freeze()  # what is there now stays: no collection need look at it again
        sys.setswitchinterval(SWITCH_SECONDS)
        yield
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        if access_log is not None:
            access_log.close()
        await service.airflow.close()
        live.close()

    app = FastAPI(
        title="Formcast",
        version=version("formcast"),
        description="Completion rates of online forms: precomputed every night, streamed since, and scored live.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for router in (
        forms.router,
        predict.router,
        batch.router,
        retrain.router,
        health.router,
        status.router,
        pages.router,
        *([sagemaker.router] if settings.sagemaker else []),
    ):
        app.router.routes.extend(router.routes)  # as they are: an included router is looked through twice a request
    app.mount("/static", pages.static)
    app.openapi = functools.cache(lambda: openapi.document(app))  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _as_problem)
    app.add_middleware(Guard, service=service, access_log=access_log)
    return app


def check_settings(settings: ServeSettings) -> None:
    """Raises SpeedError for an API without keys that others could reach, and for keys that are nowhere."""
    if settings.api_open and not is_loopback(settings.host):
        raise SpeedError(
            f"FORMCAST_API_OPEN is for a loopback address, and the API is to listen on {settings.host}: "
            "listen on 127.0.0.1, or use keys (`formcast keys add`)."
        )
    if "://" in settings.lake and not (settings.keys_file or settings.sagemaker):
        raise SpeedError(f"The lake {settings.lake} holds no API keys: name a file of them in FORMCAST_KEYS_FILE.")


async def _every(seconds: float, look: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(look)


def _end_with_parent() -> None:
    """A worker whose supervisor was killed would hold the port for ever, and nobody would replace it."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        log.warning("The server's first process is gone: this worker ends.")
        os.kill(os.getpid(), signal.SIGTERM)


async def _as_problem(request: Request, error: Exception) -> Response:
    """What Starlette itself answers, for paths and methods that are not there, in the form of every other error."""
    if isinstance(error, HTTPException) and error.status_code == problems.BAD_METHOD.status:
        headers = dict(error.headers or {})
        raise ProblemError(problems.BAD_METHOD, f"Here you may: {headers.get('Allow')}.", headers)
    raise ProblemError(problems.NOT_FOUND, "There is nothing at this path: /openapi.json lists what there is.")
