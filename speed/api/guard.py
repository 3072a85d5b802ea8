"""The one middleware, around everything: identity, limits, errors, metrics and the access log of each request."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections import defaultdict
from datetime import UTC, datetime

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speed.api import problems
from speed.api.access_log import AccessLog, Line
from speed.api.bodies import MAX_VECTOR_BYTES
from speed.api.calls import CLIENT_GONE, Call, is_loopback, peer
from speed.api.keys import Key
from speed.api.problems import ProblemError, later
from speed.api.service import Service
from speed.errors import StoreError, ThrottledError
from speed.live import NothingLiveError

ALWAYS_ANSWERED = ("/healthz", "/readyz", "/ping")  # who is busy is well, and must not be restarted for it
PREDICT = "/v1/predict"  # its bodies are read without waiting in a line, so they must be small
MAX_LOGGED = 512  # characters of a path
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("formcast.api")


class Guard:
    def __init__(self, app: ASGIApp, service: Service, access_log: AccessLog | None) -> None:
        self._app, self._service, self._log = app, service, access_log
        self._prefix, self._count = secrets.token_hex(4), itertools.count(1)
        self._in_flight, self._in_flight_of = 0, defaultdict[str, int](int)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(scope, send)
        key = None
        self._in_flight += 1
        try:
            authorization, length = self._read_headers(call)
            key = scope["key"] = self._identified(scope, authorization)
            self._check_limits(key, scope["path"])
            limit = MAX_VECTOR_BYTES if scope["path"] == PREDICT else self._service.settings.max_body_bytes
            if length is None:
                receive = _counting(receive, limit)
            else:
                _check_size(length, limit)
            await self._app(scope, receive, call.send)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer and the log the trace)
            await self._answer_error(call, receive, error)
        finally:
            self._in_flight -= 1
            if key is not None:
                self._in_flight_of[key.id] -= 1
            self._account(call, key)

    def _read_headers(self, call: Call) -> tuple[bytes, int | None]:
        """The authorization, and the length of the body: None where it comes in chunks. Names the request."""
        authorization, length = b"", 0 if call.scope["method"] in ("GET", "HEAD") else None
        for name, value in call.scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"content-length":
                length = int(value)  # the server has checked that it is one
            elif name == b"transfer-encoding":
                length = None
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                call.request_id = value.decode()
        call.request_id = call.request_id or f"{self._prefix}-{next(self._count):x}"
        return authorization, length

    def _identified(self, scope: Scope, authorization: bytes) -> Key | None:
        """The key, or None without one. Raises ProblemError for a wrong one, and for a peer from outside."""
        if authorization:
            scheme, _, presented = authorization.decode("latin-1").partition(" ")
            key = self._service.keys.verify(presented.strip()) if scheme.lower() == "bearer" else None
            if key is None:
                sentence = "The key is not valid: it was mistyped or revoked."
                raise ProblemError(problems.NO_KEY, sentence, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
            return key
        if self._service.settings.api_open and not is_loopback(peer(scope)):
            raise ProblemError(
                problems.NOT_LOCAL, "This API is open without keys, for requests from its own machine only."
            )
        return None

    def _check_limits(self, key: Key | None, path: str) -> None:
        settings = self._service.settings
        if key is not None:
            self._in_flight_of[key.id] += 1
            if self._in_flight_of[key.id] > settings.max_in_flight_per_key:
                raise later(problems.TOO_MANY, f"The key {key.id} has too many requests at once: send fewer.")
        if self._in_flight > settings.max_in_flight and path not in ALWAYS_ANSWERED:
            raise later(problems.BUSY, "The server answers as many requests as it can: try again.")

    async def _answer_error(self, call: Call, receive: Receive, error: Exception) -> None:
        if isinstance(error, ClientDisconnect):
            call.status = CLIENT_GONE
            return
        problem = _as_problem(error)
        if problem is None:
            log.error("Request %s ended in a bug.", call.request_id, exc_info=error)
            self._service.metrics.unexpected.inc()
            problem = ProblemError(problems.UNEXPECTED, "This is a bug: the server's log has its trace.")
        call.problem = problem.kind.code
        if not call.started:
            await problem.response(call.request_id)(call.scope, receive, call.send)

    def _account(self, call: Call, key: Key | None) -> None:
        seconds = time.perf_counter() - call.began
        scope = call.scope
        route = scope.get("route")
        path = getattr(route, "path_format", None) or "unmatched"
        self._service.metrics.answered(path, call.status, seconds)
        if self._log is not None:
            self._log.write(
                Line(
                    time=datetime.now(UTC),
                    request_id=call.request_id,
                    method=scope["method"],
                    path=scope["path"][:MAX_LOGGED],
                    route=path,
                    status=call.status,
                    ms=round(seconds * 1000, 3),
                    bytes=call.size,
                    peer=peer(scope),
                    key=key.id if key is not None else "",
                    problem=call.problem,
                )
            )


def _counting(receive: Receive, limit: int) -> Receive:
    """`receive` that raises ProblemError once the body is over its limit."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        _check_size(size, limit)
        return message

    return counted


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ProblemError(problems.TOO_LARGE, f"A body may have {limit:,} bytes here: send less at once.")


def _as_problem(error: Exception) -> ProblemError | None:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, NothingLiveError):
        return later(problems.NOT_READY, str(error), 5)
    if isinstance(error, ThrottledError):
        return later(problems.STORE_FAILS, str(error))
    if isinstance(error, StoreError):
        return later(problems.STORE_FAILS, str(error), 5)
    return None
