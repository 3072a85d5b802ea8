"""The API behind a port of its own, on a lake, for tests that come by HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from speed.api.app import create_app
from speed.api.keys import add_key
from speed.live import Live
from tests.api import settings_of


@dataclass(frozen=True)
class Site:
    url: str
    live: Live
    key: str
    read_key: str

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the API itself answers."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request("POST" if body else "GET", f"{self.url}{path}", json=body, headers=headers).json()


@contextmanager
def site_of(lake: Path, **settings: Any) -> Iterator[Site]:
    settings = settings_of(lake, **settings)
    key, read_key = add_key(settings.keys_path, ("read", "score")), add_key(settings.keys_path, ("read",))
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Site(f"http://127.0.0.1:{port}", app.state.service.live, key, read_key)
    finally:
        server.should_exit = True
        thread.join()
