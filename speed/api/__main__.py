"""`python -m speed.api`: the API's server, several workers below a parent that replaces those that die."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from uvicorn import Config
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from speed.api.app import check_settings
from speed.api.keys import Keys
from speed.api.listeners import OwnListener
from speed.api.metrics import SHARED_DIR, STARTED
from speed.errors import SpeedError
from speed.settings import ServeSettings, read_settings
from speed.sources import open_sources

GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 75  # longer than what proxies keep: they, not we, close connections at rest
HANGING_SECONDS = 30  # also how long a reload gives a new worker to be ready
USAGE, MISSING = 2, 4
_LOGGER = {"handlers": ["default"], "level": "INFO", "propagate": False}


def main() -> int:
    """Serve until a signal ends it; answers the exit code."""
    # Here and not in a worker, which a signal ends before it could clean up.
    with tempfile.TemporaryDirectory(prefix="formcast-api-") as own:
        return _serve(Path(own))


def _serve(own: Path) -> int:
    """own: a folder of this server's, for what its workers share."""
    try:
        settings = read_settings(ServeSettings)
        settings = settings.model_copy(update={"cache": settings.cache or str(own / "cache")})
        _check(settings)
    except SpeedError as error:
        print(f"formcast: {error}", file=sys.stderr)
        return USAGE
    try:
        bound = _bind(settings)
    except OSError as error:
        where = f"Port {settings.port} of {settings.host}"
        print(f"formcast: {where} cannot be listened on ({error.strerror}): choose another.", file=sys.stderr)
        return MISSING
    metrics = own / "metrics"
    metrics.mkdir()
    os.environ |= {SHARED_DIR: str(metrics), STARTED: str(time.time()), "FORMCAST_CACHE": settings.cache}
    with bound:
        Multiprocess(_config(settings), sockets=OwnListener(bound)).run()
    return 0


def _check(settings: ServeSettings) -> None:
    """Raises SpeedError for what would end every worker as it starts."""
    check_settings(settings)
    keys = Keys(settings.keys_path)
    if not (keys or settings.api_open or settings.sagemaker):
        print(f"There are no API keys in {keys.path} yet: `formcast keys add` makes one.", file=sys.stderr)
    _, realtime = open_sources(settings)
    realtime.close()


def _bind(settings: ServeSettings) -> socket.socket:
    """Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((settings.host, settings.port))
    host, port = bound.getsockname()[:2]
    print(f"Formcast is at http://{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True)
    return bound


def _config(settings: ServeSettings) -> Config:
    return Config(
        "speed.api.app:create_app",
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        log_config=LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | {"formcast": _LOGGER}},
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=HANGING_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
