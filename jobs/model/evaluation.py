"""A model judged on the holdout, as it is kept in `evaluation.json`. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from jobs.model.importance import Importance
from jobs.model.intervals import MIN_FORMS
from jobs.model.losses import Array
from jobs.model.metrics import evaluate
from jobs.model.noise import Noise, noise_floor
from jobs.model.paired import paired_bootstrap
from jobs.model.slices import Judged, Slice, slices_by_feature, slices_by_prediction, slices_by_views

RELIABILITY_BINS = 15
_RESAMPLES = 2_000  # for a 95 % interval; the gate decides by one comparison, and this shows many


class Comparison(msgspec.Struct, frozen=True):
    """The difference of two MAEs on the same forms with its 95 % interval. Below 0: `name` is better."""

    name: str
    other: str
    difference: float
    lower: float
    upper: float


class BucketCoverage(msgspec.Struct, frozen=True):
    """Of forms with so many views: the share whose rate lies within its interval, and the mean width of these."""

    label: str
    forms: int
    coverage: float
    width: float


class Coverage(msgspec.Struct, frozen=True):
    """nominal: what the intervals promise. by_views: in buckets of so many forms that chance is about 1 point."""

    nominal: float
    overall: float
    by_views: list[BucketCoverage]


class Parity(msgspec.Struct, frozen=True):
    """largest: difference between the portable model and its native library on so many rows."""

    rows: int
    largest: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.rows > 0 and self.largest <= self.tolerance


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """families: metrics (jobs.model.metrics) by family. All the rest is about `best`.

    reliability: predicted against actual rates, in bins of equally many forms. A model of medians (objective mae) is
    off the diagonal where rates are skewed.
    """

    families: dict[str, dict[str, float]]
    best: str
    comparisons: list[Comparison]
    noise: Noise
    slices: list[Slice]
    reliability: list[Slice]
    coverage: Coverage
    importance: list[Importance] = []
    parity: Parity | None = None


def evaluate_all(
    judged: Judged,
    rates: Mapping[str, Array],
    best: str,
    nominal: float,
    *,
    rivals: Mapping[str, Array] | None = None,
    features: Mapping[str, Array] | None = None,
    seed: int = 0,
) -> Evaluation:
    """All but importance and parity, which need the model itself: add them with msgspec.structs.replace.

    judged: the held-out forms, n >= 1, with the rates and the bounds of the best family. rates: (n,) calibrated rates
    by family, the best among them. nominal: the coverage that the bounds promise. rivals: (n,) rates of others to
    compare with, such as {"champion": ...}. features: (n,) values by name, to slice by.
    Raises ValueError where n is 0 or bounds are missing.
    """
    families = {name: evaluate(judged.actual, rate, judged.views) for name, rate in rates.items()}
    comparisons = [
        compare(judged.actual, judged.rate, rate, names=(best, name), seed=seed)
        for name, rate in {**rates, **(rivals or {})}.items()
        if name != best
    ]
    slices = slices_by_views(judged) + slices_by_prediction(judged)
    for name, values in (features or {}).items():
        slices += slices_by_feature(judged, name, values)
    return Evaluation(
        families=families,
        best=best,
        comparisons=comparisons,
        noise=noise_floor(judged.actual, judged.rate, judged.views, seed),
        slices=slices,
        reliability=slices_by_prediction(judged, RELIABILITY_BINS),
        coverage=coverage_of(judged, nominal),
    )


def compare(actual: Array, mine: Array, theirs: Array, *, names: tuple[str, str], seed: int) -> Comparison:
    """The paired bootstrap of two families' absolute errors; actual, mine, theirs: (n,) rates, n >= 1.

    names: of the family whose rates are `mine`, and of the other.
    """
    found = paired_bootstrap(np.abs(mine - actual), np.abs(theirs - actual), seed, resamples=_RESAMPLES)
    return Comparison(*names, found.difference, found.lower, found.upper)


def coverage_of(judged: Judged, nominal: float) -> Coverage:
    """How many rates lie within their intervals, overall and by views. Raises ValueError where bounds are missing."""
    if judged.lower is None or judged.upper is None:
        raise ValueError("There are no bounds whose coverage could be measured.")
    within = (judged.lower <= judged.actual) & (judged.actual <= judged.upper)
    buckets = [
        BucketCoverage(each.label, each.forms, float(each.coverage or 0), float(each.width or 0))
        for each in slices_by_views(judged, MIN_FORMS)
    ]
    return Coverage(nominal, float(within.mean()), buckets)
