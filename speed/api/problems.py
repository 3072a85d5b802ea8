"""Every error of the API is one of these kinds, answered as a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_PREFIX = "urn:formcast:problem:"


class Kind(NamedTuple):
    """code: what programs tell kinds apart by; it never changes."""

    code: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return _PREFIX + self.code


BAD_REQUEST = Kind("bad-request", 400, "The request cannot be read")
BAD_FORM_ID = Kind("bad-form-id", 404, "This can be no form id")
NO_KEY = Kind("no-key", 401, "A valid API key is needed")
NO_SCOPE = Kind("no-scope", 403, "The API key does not allow this")
NOT_LOCAL = Kind("not-local", 403, "An API open without keys answers its own machine only")
NOT_FOUND = Kind("not-found", 404, "There is nothing here")
UNKNOWN_FORM = Kind("unknown-form", 404, "The form is not known")
UNKNOWN_RUN = Kind("unknown-run", 404, "The run is not known")
BAD_METHOD = Kind("bad-method", 405, "The method is not offered here")
BAD_ACCEPT = Kind("bad-accept", 406, "The answer's format is not offered")
TOO_SLOW = Kind("too-slow", 408, "The body did not come in time")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
BAD_MEDIA = Kind("bad-media", 415, "The body's format is not offered")
BAD_BODY = Kind("bad-body", 422, "The body is not what is asked for")
BAD_VECTOR = Kind("bad-vector", 422, "A vector breaks the contract")
TOO_MANY = Kind("too-many", 429, "The API key has too many requests at once")
UNEXPECTED = Kind("unexpected", 500, "Something unexpected went wrong")
NOT_READY = Kind("not-ready", 503, "There is no generation to answer from")
STORE_FAILS = Kind("store-fails", 503, "The score store does not answer")
BUSY = Kind("busy", 503, "The server has too many requests at once")
NO_AIRFLOW = Kind("no-airflow", 503, "Airflow cannot be asked")


class ProblemDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong: `detail` is one plain sentence, `type` and `status` are for programs."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    position: int | None = None
    """Of the first bad value of a vector, from 1."""
    index: int | None = None
    """Of the bad vector in a batch, from 0."""
    form_id: str | None = None


class ProblemError(Exception):
    """An answer that is an error. members: of ProblemDocument, beside those that every kind has."""

    def __init__(self, kind: Kind, detail: str, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.members = kind, detail, headers, members

    def response(self, request_id: str) -> Response:
        kind = self.kind
        document = ProblemDocument(
            type=kind.type,
            title=kind.title,
            status=kind.status,
            detail=self.detail,
            request_id=request_id,
            **self.members,
        )
        return Response(msgspec.json.encode(document), kind.status, self.headers, MEDIA_TYPE)


def later(kind: Kind, detail: str, seconds: int = 1) -> ProblemError:
    """A problem that goes away by itself: the client is told when to try again."""
    return ProblemError(kind, detail, {"Retry-After": str(seconds)})
