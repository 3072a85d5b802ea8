"""The OpenAPI document: FastAPI lists the routes, msgspec the schemas of their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from speed.api import problems
from speed.api.keys import Scope
from speed.api.problems import Kind, ProblemDocument

KEY_SCHEME = "key"
_REF = "#/components/schemas/{name}"
_ALWAYS = (problems.BUSY, problems.UNEXPECTED)
_WITH_KEY = (problems.BAD_REQUEST, problems.NO_KEY, problems.NO_SCOPE, problems.TOO_MANY)
_types: dict[str, type] = {"ProblemDocument": ProblemDocument}

JSON, TEXT, HTML, NDJSON = "application/json", "text/plain", "text/html", "application/x-ndjson"
CSV, JSONLINES = "text/csv", "application/jsonlines"
ARROW = "application/vnd.apache.arrow.stream"


def schema(of: type) -> dict[str, Any]:
    """A reference to the schema of a type, which the document then has."""
    _types[of.__name__] = of
    return {"$ref": _REF.format(name=of.__name__)}


def parameter(name: str, where: str, about: str, of: Mapping[str, Any], example: Any = None) -> dict[str, Any]:
    found = {"name": name, "in": where, "required": where == "path", "description": about, "schema": dict(of)}
    return found if example is None else found | {"example": example}


def described(
    *,
    scope: Scope | None,
    answer: Mapping[str, Any],
    about: str,
    status: int = 200,
    body: Mapping[str, Any] | None = None,
    parameters: Iterable[dict[str, Any]] = (),
    kinds: Iterable[Kind] = (),
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a route tells FastAPI of itself.

    scope: of the key that it needs; None where it needs none. answer, body: by media type, `{"schema": ..., ...}`.
    about: what the answer is. kinds: the problems that are its own. headers: of the answer, with what they say.
    """
    always = _ALWAYS if scope is None else _WITH_KEY + _ALWAYS
    success: dict[str, Any] = {"description": about, "content": dict(answer)}
    if headers:
        success["headers"] = {
            name: {"description": says, "schema": {"type": "string"}} for name, says in headers.items()
        }
    extra: dict[str, Any] = {"security": [{KEY_SCHEME: [scope]}] if scope else [{}], "parameters": list(parameters)}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": dict(body)}
    return {
        "status_code": status,
        "response_class": Response,
        "responses": {status: success} | _problem_answers((*kinds, *always)),
        "openapi_extra": extra,
    }


def document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, schemas = msgspec.json.schema_components(_types.values(), ref_template=_REF)
    scheme = {"type": "http", "scheme": "bearer", "description": "An API key: `formcast keys add` makes one."}
    return found | {"components": {"schemas": schemas, "securitySchemes": {KEY_SCHEME: scheme}}}


def _problem_answers(kinds: Iterable[Kind]) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, list[Kind]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": "; or: ".join(kind.title for kind in of),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": schema(ProblemDocument),
                    "examples": {kind.code: {"value": _example(kind)} for kind in of},
                }
            },
        }
        for status, of in sorted(by_status.items())
    }


def _example(kind: Kind) -> dict[str, Any]:
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}: what exactly, and what to do.",
        "request_id": "9f2c41-1a",
    }
