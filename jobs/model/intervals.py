"""How far a form's rate may be from its prediction, given its views: conformal intervals. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]

MIN_FORMS = 1_000  # in a bucket of views: coverage is then off by about 1 point, the standard deviation of a beta
EDGE = 1e-3  # a prediction of 0 or 1 is not certain
_EVERYTHING = 1e12  # times any scale: all rates. Infinity would not survive JSON
_NATURAL_EDGES = np.array([2, 3, *(m * 10**e for e in range(9) for m in (5, 10, 20))], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Interval:
    """Quantiles of normalised residuals by views: split conformal, Mondrian in buckets of views.

    coverage: the share of new forms whose rate is to lie within, in (0, 1). overdispersion: rho, see `scale`.
    edges: (b,) views where the next bucket begins, increasing.
    low, high: (b + 1,) how many scales a rate may lie below and above its prediction, >= 0.
    """

    coverage: float
    overdispersion: float
    edges: Array
    low: Array
    high: Array

    def bounds(self, rate: Array, views: Array) -> tuple[Array, Array]:
        """(n,) lower and (n,) upper in [0, 1], for (n,) rates and views; NaN where views is NaN or under 1."""
        views = np.where(views >= 1, views, np.nan)
        bucket = np.searchsorted(self.edges, views, side="right")
        bucket[np.isnan(views)] = 0  # NaN sorts last; its scale is NaN in any bucket
        width = scale(rate, views, self.overdispersion)
        lower = np.clip(rate - self.low[bucket] * width, 0.0, 1.0)
        return lower, np.clip(rate + self.high[bucket] * width, 0.0, 1.0)


def scale(rate: Array, views: Array, overdispersion: float) -> Array:
    """(n,) standard deviations of completion rates: sqrt(q (1 - q) (1 / v + rho (1 - 1 / v))).

    Binomial for rho = 0; rho is the correlation of two views of one form, given the prediction q.
    Source: Williams 1982, model II.
    """
    q = np.clip(rate, EDGE, 1 - EDGE)
    return np.sqrt(q * (1 - q) * (1 / views + overdispersion * (1 - 1 / views)))


def fit_interval(rate: Array, actual: Array, views: Array, coverage: float) -> Interval:
    """The intervals that cover `coverage` of new forms in every bucket of views: at least so, and at most by ties.

    rate: (n,) predictions, calibrated, for forms that neither training nor calibration saw; actual: (n,) their rates;
    views: (n,), >= 1. Raises ValueError where coverage is not in (0, 1). With few forms, the bounds are 0 and 1.
    Each side misses (1 - coverage) / 2, by its own quantile with the (n + 1) correction: the model predicts medians,
    and residuals are skewed. Bounds are clipped after, which changes nothing about coverage, as rates are in [0, 1].
    Sources: Lei et al. 2018 (split, normalised), Vovk et al. 2005, section 4.5 (Mondrian).
    """
    if not 0 < coverage < 1:
        raise ValueError(f"The coverage of an interval is between 0 and 1, not {coverage}.")
    rho = overdispersion(rate, actual, views)
    edges = views_edges(views)
    bucket = np.searchsorted(edges, views, side="right")
    below = (rate - actual) / scale(rate, views, rho)
    tail = (1 - coverage) / 2
    quantiles = [
        (_corrected_quantile(below[bucket == b], tail), _corrected_quantile(-below[bucket == b], tail))
        for b in range(len(edges) + 1)
    ]
    low, high = np.array(quantiles).T
    return Interval(coverage, rho, edges, low, high)


def overdispersion(rate: Array, actual: Array, views: Array) -> float:
    """The rho in [0, 1] with which squared residuals over their variances add up to what they should.

    Williams 1982 solves the same with each term divided by q (1 - q); without, predictions near 0 and 1 do not rule.
    """
    q = np.clip(rate, EDGE, 1 - EDGE)
    squares, wanted = (actual - rate) ** 2, float(np.sum(q * (1 - q)))

    def excess(rho: float) -> float:
        return float(np.sum(squares / (1 / views + rho * (1 - 1 / views)))) - wanted

    if excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-6)) if excess(1.0) < 0 else 1.0


def views_edges(views: Array, least: int = MIN_FORMS) -> Array:
    """(b,) where buckets of views begin, after the first: 2, 3, 5, 10, 20, ..., those with `least` forms in each."""
    ordered = np.sort(views)
    edges: list[float] = []
    taken = 0
    for edge, below in zip(_NATURAL_EDGES, np.searchsorted(ordered, _NATURAL_EDGES, side="left"), strict=True):
        if below - taken >= least and len(views) - below >= least:
            edges.append(float(edge))
            taken = below
    return np.array(edges)


def _corrected_quantile(residuals: Array, tail: float) -> float:
    """What a new residual exceeds with a chance of `tail` at most, and never below 0: intervals hold predictions."""
    n = len(residuals)
    # Rounded first: (9 + 1) * (1 - 0.1) must be 9, though floats make it a little more or less.
    rank = int(np.ceil(round((n + 1) * (1 - tail), 9)))
    if rank > n:
        return _EVERYTHING
    return max(float(np.partition(residuals, rank - 1)[rank - 1]), 0.0)
