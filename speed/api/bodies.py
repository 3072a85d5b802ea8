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

Body = TypeVar("Body")
# msgspec ends the message on a wrong value with where it is: "... - at `$.features[5]`".
_WHERE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)
_POSITION = re.compile(r"features\[(\d+)\]")


def read(decode: Callable[[bytes], Body], body: bytes, index: int | None = None) -> Body:
    """A body, or a vector of one (index: from 0). Raises ProblemError where it is not the JSON that is asked for."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error), index) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _problem(problems.BAD_REQUEST, f"This is no JSON: {error}.", index) from error


def values_of(asked: PredictRequest, index: int | None = None) -> list[float]:
    """The 47 values of a vector. index: in its batch. Raises ProblemError, with where it breaks the contract."""
    if asked.views is not None and not asked.views.is_integer():
        raise _problem(problems.BAD_BODY, f"`views` is {asked.views}: it must be a whole number.", index)
    try:
        if isinstance(asked.features, str):
            return unpack_features(asked.features)
        check_features(asked.features)
    except VectorError as error:
        raise _problem(problems.BAD_VECTOR, str(error), index, error.position) from error
    return asked.features


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
