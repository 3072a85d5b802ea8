"""Reads bodies: msgspec checks their shape, the contract their vectors; each error says where."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from speed.api import problems
from speed.api.answers import PredictRequest
from speed.api.problems import ProblemError
from speed.contract import check_features, unpack_features
from speed.errors import VectorError

Body = TypeVar("Body")
# msgspec ends the message of a wrong value with where it is: "... - at `$.vectors[3].features[5]`".
_WHERE = re.compile(r"(.*) - at `\$(?:\.vectors\[(\d+)\])?(?:\.features\[(\d+)\])?([^`]*)`", re.DOTALL)


def read(decode: Callable[[bytes], Body], body: bytes) -> Body:
    """The body of a request. Raises ProblemError where it is no JSON, or not what is asked for."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(problems.BAD_REQUEST, f"The body is no JSON: {error}.") from error


def values_of(asked: PredictRequest, index: int | None = None) -> list[float]:
    """The 47 values of a vector. index: in its batch. Raises ProblemError, with where it breaks the contract."""
    try:
        if isinstance(asked.features, str):
            return unpack_features(asked.features)
        check_features(asked.features)
    except VectorError as error:
        which = "" if index is None else f"Vector {index} (from 0): "
        raise ProblemError(problems.BAD_VECTOR, f"{which}{error}", position=error.position, index=index) from error
    return asked.features


def _misshapen(message: str) -> ProblemError:
    if (found := _WHERE.fullmatch(message)) is None:
        return ProblemError(problems.BAD_BODY, f"The body does not fit: {message}.")
    what, index, position, rest = found.groups()
    at = None if index is None else int(index)
    if position is None:
        where = f"vectors[{index}]{rest}" if index is not None else rest.removeprefix(".") or "the body"
        return ProblemError(problems.BAD_BODY, f"The body does not fit at {where}: {what}.", index=at)
    which = "" if at is None else f"Vector {at} (from 0): "
    return ProblemError(
        problems.BAD_VECTOR, f"{which}Value {int(position) + 1}: {what}.", position=int(position) + 1, index=at
    )
