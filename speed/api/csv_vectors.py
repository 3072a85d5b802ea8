"""Vectors as lines of CSV without a header: 47 numbers, or the packed features as one field; then views, if known."""

from __future__ import annotations

import re

import numpy as np

from speed.api import problems
from speed.api.batch import rates_of
from speed.api.bodies import checked
from speed.api.problems import ProblemError
from speed.api.vectors import Vectors, check_count
from speed.contract import COUNT_PATTERN, FEATURE_PATTERN, N_FEATURES
from speed.scorer import Scored
from speed.stores.records import Manifest

_MORE = N_FEATURES - 1
_FEATURES = rf"({FEATURE_PATTERN}(,{FEATURE_PATTERN}){{{_MORE}}}|{FEATURE_PATTERN}(-{FEATURE_PATTERN}){{{_MORE}}})"
CSV_PATTERN = rf"^({_FEATURES}(,{COUNT_PATTERN})?\n)*$"
_VIEWS = re.compile(rf"{COUNT_PATTERN}(\.0*)?")  # some clients write 12 as 12.0


def read_csv(body: bytes, limit: int) -> Vectors:
    """Raises ProblemError, with where a line is wrong."""
    try:
        lines = [line for line in body.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ProblemError(problems.BAD_REQUEST, f"The body is no UTF-8: {error}.") from error
    check_count(len(lines), limit)
    features, views = np.empty((len(lines), N_FEATURES)), np.full(len(lines), np.nan)
    for index, line in enumerate(lines):
        fields = [field.strip() for field in line.split(",")]
        packed = len(fields) <= 2
        width = 1 if packed else N_FEATURES
        features[index] = checked(fields[0] if packed else _numbers(fields[:width], index), index)
        views[index] = _views(fields[width:], index)
    return Vectors(features, views)


def write_csv(scored: Scored, _: Manifest) -> bytes:
    """Lines of rate,lower,upper; the bounds are empty where there are none."""
    rows = ((one.rate, one.lower, one.upper) for one in rates_of(scored))
    return "".join(",".join("" if value is None else repr(value) for value in row) + "\n" for row in rows).encode()


def _numbers(fields: list[str], index: int) -> list[float]:
    values = []
    for position, field in enumerate(fields, 1):
        try:
            values.append(float(field))
        except ValueError as error:
            sentence = f"Vector {index} (from 0): Value {position} is {field[:40]!r}: it must be a number."
            raise ProblemError(problems.BAD_VECTOR, sentence, index=index, position=position) from error
    return values


def _views(fields: list[str], index: int) -> float:
    """NaN where there is no such field, or nothing in it."""
    if fields in ([], [""]):
        return np.nan
    if len(fields) > 1 or _VIEWS.fullmatch(fields[0]) is None:
        sentence = f"behind its features is {','.join(fields)[:40]!r}, and nothing but the views may be."
        raise ProblemError(problems.BAD_BODY, f"Vector {index} (from 0): {sentence}", index=index)
    return float(fields[0])
