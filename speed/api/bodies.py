"""Reads bodies: msgspec checks their shape, the contract their vectors; each error says where."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from speed.api import problems
from speed.api.answers import PredictRequest
from speed.api.problems import Kind, ProblemError
from speed.contract import check_features, unpack_features
from speed.errors import VectorError

MAX_VECTOR_BYTES = 1 << 16
"""47 numbers have a twentieth of it; a body of millions would keep the event loop from everybody else."""

Body = TypeVar("Body")
_decode_vector = msgspec.json.Decoder(PredictRequest).decode
# msgspec ends the message on a wrong value with where it is: "... - at `$.features[5]`".
_WHERE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)
_POSITION = re.compile(r"features\[(\d+)\]")


def read(decode: Callable[[bytes | msgspec.Raw], Body], body: bytes | msgspec.Raw, index: int | None = None) -> Body:
    """A body, or a vector of one (index: from 0). Raises ProblemError where it is not the JSON that is asked for."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error), index) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _problem(problems.BAD_REQUEST, f"This is no JSON: {error}.", index) from error


def read_vector(body: bytes | msgspec.Raw, index: int | None = None) -> tuple[list[float], float | None]:
    """The 47 values of a vector, and its views. index: in its batch. Raises ProblemError, with where it is wrong."""
    if len(memoryview(body)) > MAX_VECTOR_BYTES:
        raise _problem(problems.TOO_LARGE, f"A vector may have {MAX_VECTOR_BYTES:,} bytes.", index)
    asked = read(_decode_vector, body, index)
    if asked.views is not None and not asked.views.is_integer():
        raise _problem(problems.BAD_BODY, f"`views` is {asked.views}: it must be a whole number.", index)
    return checked(asked.features, index), asked.views


def checked(features: str | list[float], index: int | None = None) -> list[float]:
    """The 47 values, where they keep the contract. Raises ProblemError, with where they break it."""
    try:
        if isinstance(features, str):
            return unpack_features(features)
        check_features(features)
    except VectorError as error:
        raise _problem(problems.BAD_VECTOR, str(error), index, error.position) from error
    return features


def _misshapen(message: str, index: int | None) -> ProblemError:
    found = _WHERE.fullmatch(message)
    what, where = found.group("what", "where") if found else (message, "")
    if position := _POSITION.fullmatch(where):
        place = int(position[1]) + 1
        return _problem(problems.BAD_VECTOR, f"Value {place} does not fit: {what}.", index, place)
    subject = f"`{where}`" if where else "The body" if index is None else "It"
    return _problem(problems.BAD_BODY, f"{subject} does not fit: {what}.", index)


def _problem(kind: Kind, sentence: str, index: int | None, position: int | None = None) -> ProblemError:
    which = "" if index is None else f"Vector {index} (from 0): "
    return ProblemError(kind, f"{which}{sentence}", index=index, position=position)
