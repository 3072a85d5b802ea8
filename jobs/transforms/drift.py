"""Facts of a run's input, and what moved since the run before. Statistical tests come later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.errors import ContractError
from speed.contract import FEATURES

Array = NDArray[np.float64]
Facts = dict[tuple[str, str], float]
"""(name, slice) -> value, the slice a feature's name or "" for the whole."""

# What counts as moved: a tenth of a standard deviation, five points of zeros, ten times the largest value seen.
MEAN_SHIFT, ZERO_SHIFT, RANGE_GROWTH = 0.1, 0.05, 10.0
REJECTED_SHIFT = 0.02
# Of a mean: what the order of batches alone may change. Features are >= 0, so their sums do not cancel: a batch adds
# an error of a few parts in 1e16, of either sign, and a billion forms are 15,000 batches. It cannot be much larger: a
# deviation of 1 at 1.7e9 is 6e-10 of the mean, and a tenth of it must show.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Moments:
    """Of `rows` forms: each feature's mean, sum of squared distances to it, count of zeros, extremes; all (f,)."""

    rows: int
    mean: Array
    squares: Array
    zeros: Array
    low: Array
    high: Array

    def merged(self, other: Moments) -> Moments:
        """The moments of both. Source: Chan, Golub & LeVeque 1983."""
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        with np.errstate(over="ignore"):
            between = apart * apart * (self.rows * other.rows / rows)
        return Moments(
            rows,
            self.mean + apart * (other.rows / rows),
            self.squares + other.squares + between,
            self.zeros + other.zeros,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


def moments_of(values: Array) -> Moments:
    """Moments of values (f, n), n >= 1. Squares are of distances to the mean: E[x^2] - mean^2 cancels where means are
    large.
    """
    low, high = values.min(axis=1), values.max(axis=1)
    with np.errstate(over="ignore"):
        # Rounding can push a mean out of the range of its values: a constant would get a deviation.
        mean = np.clip(values.mean(axis=1), low, high)
        distances = values - mean[:, None]
        squares = np.einsum("fn,fn->f", distances, distances)
    return Moments(values.shape[1], mean, squares, np.count_nonzero(values == 0, axis=1), low, high)


def input_facts(batches: Iterable[pa.RecordBatch], read: int, rejected: int) -> Facts:
    """Row count, share rejected, and each feature's mean, standard deviation, zero share, minimum and maximum.

    batches: of `forms`, with at least its features. read, rejected: lines of the run's input.
    """
    known: Moments | None = None
    for batch in batches:
        if batch.num_rows:
            found = moments_of(np.stack([batch[name].to_numpy() for name in FEATURES]))
            known = found if known is None else known.merged(found)
    rows = known.rows if known else 0
    facts: Facts = {("rows", ""): float(rows), ("share_rejected", ""): rejected / read if read else 0.0}
    if known:
        deviation = np.sqrt(known.squares / rows)
        zero_share = known.zeros / rows
        named = {"mean": known.mean, "std": deviation, "zero_share": zero_share, "min": known.low, "max": known.high}
        facts |= {
            (name, feature): float(value)
            for name, values in named.items()
            for feature, value in zip(FEATURES, values, strict=True)
        }
    return facts


def mean_shift(now: Mapping[tuple[str, str], float], before: Mapping[tuple[str, str], float], feature: str) -> float:
    """How far a feature's mean is from what it was; exactly 0 if rounding alone may have made the difference."""
    shift = now["mean", feature] - before["mean", feature]
    return shift if abs(shift) > _ROUNDING * abs(before["mean", feature]) else 0.0


def moved(now: Facts, before: Mapping[tuple[str, str], float]) -> list[str]:
    """Sentences about what moved since `before`; none without a run before."""
    if not before:
        return []
    said = []
    change = now["share_rejected", ""] - before.get(("share_rejected", ""), 0.0)
    if abs(change) > REJECTED_SHIFT:
        said.append(f"share of lines rejected {change:+.1%}")
    for feature in FEATURES:
        if ("mean", feature) not in before or ("mean", feature) not in now:
            continue
        if abs(mean_shift(now, before, feature)) > MEAN_SHIFT * before["std", feature]:
            said.append(f"{feature}: mean {_from_to(before['mean', feature], now['mean', feature])}")
        elif abs(now["zero_share", feature] - before["zero_share", feature]) > ZERO_SHIFT:
            said.append(f"{feature}: zeros {before['zero_share', feature]:.0%} to {now['zero_share', feature]:.0%}")
        elif now["max", feature] > RANGE_GROWTH * max(before["max", feature], 1.0):
            said.append(f"{feature}: maximum {_from_to(before['max', feature], now['max', feature])}")
    return said


def _from_to(before: float, now: float) -> str:
    """Both values, with as many digits as it takes to tell them apart."""
    digits = next((count for count in range(3, 17) if f"{before:.{count}g}" != f"{now:.{count}g}"), 17)
    return f"{before:.{digits}g} to {now:.{digits}g}"


def check_rows(rows: int, live: int | None, max_row_drop: float) -> None:
    """Raise ContractError if so many of the live forms are gone that the dump looks cut.

    live: forms of the live generation, None before the first publish.
    """
    if live and (live - rows) / live > max_row_drop:
        raise ContractError(
            f"{_fewer(rows, live)}: the dump looks cut. The old predictions stay live. Ingest the whole dump, or, if "
            "the forms are really gone, run again with max_row_drop at 1 (`make run MAX_ROW_DROP=1`)."
        )


def row_warning(rows: int, live: int | None, warn_row_drop: float) -> str:
    """A sentence if so many of the live forms are gone that somebody should know, else ""."""
    if not live or rows >= live or (live - rows) / live < warn_row_drop:
        return ""
    return f"{_fewer(rows, live)}."


def _fewer(rows: int, live: int) -> str:
    return f"There are {rows:,} forms, {(live - rows) / live:.1%} fewer than the {live:,} that were live before"
