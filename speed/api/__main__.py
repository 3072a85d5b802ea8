"""`python -m speed.api`: the API's server, several workers below a parent that replaces those that die."""

from __future__ import annotations

import os
import sys
import tempfile
import time

from uvicorn import Config
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from speed.api.app import check_settings
from speed.api.metrics import SHARED_DIR, STARTED
from speed.errors import SpeedError
from speed.settings import ServeSettings, read_settings

GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 75  # longer than what proxies keep: they, not we, close connections at rest
HANGING_SECONDS = 30  # also how long a reload gives a new worker to be ready
_LOGGER = {"handlers": ["default"], "level": "INFO", "propagate": False}


def main() -> int:
    try:
        settings = read_settings(ServeSettings)
        check_settings(settings)
    except SpeedError as error:
        print(f"formcast: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="formcast-metrics-") as shared:
        os.environ |= {SHARED_DIR: shared, STARTED: str(time.time())}
        if not settings.api_open and not settings.keys_path.exists():
            print(
                f"There are no API keys in {settings.keys_path} yet: `formcast keys add` makes one.", file=sys.stderr
            )
        config = Config(
            "speed.api.app:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
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
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
