"""How a route of the API is run: its scope is checked, and its endpoint gets the request as it came."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute, APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response

from speed.api import problems
from speed.api.keys import Key
from speed.api.openapi import KEY_SCHEME
from speed.api.problems import ProblemError
from speed.api.service import service_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class RawRoute(APIRoute):
    """A route that FastAPI documents and does not slow down: no models, no injection, msgspec in the endpoint.

    The scope that its `security` declares is the one that is asked for, and its parameters all that there may be.
    """

    def __init__(self, path: str, endpoint: Handler, **described: Any) -> None:
        super().__init__(path, endpoint, **described)
        # Starlette's, for FastAPI's keeps two stacks a request for dependencies that there are none of.
        self.app = request_response(self.get_route_handler())

    def get_route_handler(self) -> Handler:
        endpoint: Handler = self.endpoint
        declared = self.openapi_extra or {}
        needed = declared.get("security", [{}])[0].get(KEY_SCHEME)
        if not needed:
            return endpoint
        (scope,) = needed
        known = [one["name"] for one in declared["parameters"] if one["in"] == "query"]

        async def checked(request: Request) -> Response:
            key: Key | None = request.scope["key"]
            if key is None:
                if scope == "retrain" or not service_of(request).settings.api_open:
                    raise ProblemError(problems.NO_KEY, _NO_KEY, {"WWW-Authenticate": "Bearer"})
            elif scope not in key.scopes:
                raise ProblemError(
                    problems.NO_SCOPE,
                    f"The key {key.id} has the scopes {', '.join(key.scopes)}, and {scope!r} is needed.",
                )
            if request.scope["query_string"]:
                _check_names(request, known)
            return await endpoint(request)

        return checked


_NO_KEY = "Send a key as `Authorization: Bearer fc_...`; `formcast keys add` makes one."


def _check_names(request: Request, known: list[str]) -> None:
    """Raises ProblemError for a parameter that would be left out: it was mistyped."""
    for name in query(request):
        if name not in known:
            offered = f"there are {', '.join(known)}" if known else "there are none"
            raise ProblemError(problems.BAD_REQUEST, f"There is no parameter {name[:40]!r} here: {offered}.")


def new_router() -> APIRouter:
    return APIRouter(route_class=RawRoute)


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false. Raises ProblemError for anything else."""
    value = query(request).get(name, "false")
    if value not in ("true", "false", "1", "0"):
        raise ProblemError(problems.BAD_REQUEST, f"The parameter {name} is {value[:40]!r}: it must be true or false.")
    return value in ("true", "1")


def query(request: Request) -> dict[str, str]:
    raw: bytes = request.scope["query_string"]
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}
