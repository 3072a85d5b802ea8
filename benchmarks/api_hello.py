"""The least that answers over HTTP by the same parts as the API: how much this machine can do."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_BODY = b'{"hello": "world"}'


async def _hello(_: Request) -> Response:
    return Response(_BODY, media_type="application/json")


starlette = Starlette(routes=[Route("/", _hello)])


async def uvicorn(scope: Scope, receive: Receive, send: Send) -> None:
    """No framework at all."""
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})
