"""The difference of two models' mean losses on the same forms, with its interval. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 20_000  # 20 of them lie beyond each end of a 99.8 % interval
_MAX_UNITS = 5_000
_DRAWS_A_CHUNK = 1_000_000  # 16 MB


@dataclass(frozen=True)
class Interval:
    """A difference of two mean losses on the same forms, with its interval. Below 0: the first is better.

    confidence: with which the true difference lies between lower and upper; half of the rest is on each side.
    """

    difference: float
    lower: float
    upper: float
    confidence: float


def paired_bootstrap(
    challenger: Array, rival: Array, seed: int, *, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """The difference of mean losses, challenger - rival, with its interval.

    challenger, rival: (n,) losses (jobs.model.losses) on the same forms in the same order, n >= 1. confidence: in
    (0, 1). Raises ValueError if so few resamples have no percentile that far out.
    Beyond 5,000 forms, equally large groups of forms drawn at random are resampled in place of single forms. Their
    means vary as those of forms do, so the interval is the same, and time (under 1 s) and memory stay bounded.
    With few forms, percentiles are too narrow, the more so the farther out they are: the interval therefore always
    holds Student's.
    Sources: Efron & Tibshirani 1993, chapter 13; on few forms, Hesterberg 2015.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - SciPy, for which most commands need not wait

    tail = (1 - confidence) / 2
    if tail * (resamples + 1) < 1:
        raise ValueError(f"{resamples:,} resamples are too few for an interval of {confidence:.2%}.")
    random = np.random.default_rng(seed)
    differences = challenger - rival
    n, center = len(differences), float(differences.mean())
    units = _units(differences, random)
    # Of B resamples, k / (B + 1) of all others are below the k-th: "weibull" is right on average, whatever B is.
    lower, upper = np.quantile(_means(units, resamples, random), [tail, 1 - tail], method="weibull")
    reach = float(stdtrit(n - 1, 1 - tail) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Interval(center, min(float(lower), center - reach), max(float(upper), center + reach), confidence)


def _units(differences: Array, random: np.random.Generator) -> Array:
    """The values themselves, or the means of at most 5,000 groups of them, drawn at random."""
    size = -(-len(differences) // _MAX_UNITS)
    if size == 1:
        return differences
    shuffled = random.permutation(differences)
    return np.asarray(shuffled[: len(shuffled) // size * size].reshape(-1, size).mean(axis=1))


def _means(units: Array, resamples: int, random: np.random.Generator) -> Array:
    """(resamples,) means of as many units, drawn with replacement."""
    means = np.empty(resamples)
    rows = max(1, _DRAWS_A_CHUNK // len(units))
    for start in range(0, resamples, rows):
        part = means[start : start + rows]
        drawn = random.integers(0, len(units), (len(part), len(units)), dtype=np.uint16)
        part[:] = units[drawn].mean(axis=1)
    return means
