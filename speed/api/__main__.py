"""`python -m speed.api`: the API's server, several workers below a parent that replaces those that die."""

from __future__ import annotations

import os
import sys
import tempfile

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from speed.api.app import check_exposure
from speed.api.metrics import SHARED_DIR
from speed.errors import SpeedError
from speed.settings import ServeSettings, read_settings

GRACE_SECONDS = 20


def main() -> int:
    try:
        settings = read_settings(ServeSettings)
        check_exposure(settings)
    except SpeedError as error:
        print(f"formcast: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="formcast-metrics-") as shared:
        os.environ[SHARED_DIR] = shared
        config = Config(
            "speed.api.app:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop="uvloop",
            http="httptools",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
