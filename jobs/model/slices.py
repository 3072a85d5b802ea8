"""The holdout cut into groups: by views, by prediction, by a feature. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from jobs.model.intervals import views_edges
from jobs.model.losses import Array

VIEWS, PREDICTED = "views", "predicted"
LEAST_FORMS = 200  # in a slice by views: its MAE is then known to about 5 %
_MANY_ZEROS = 0.25  # of a feature: then 0 is a group of its own

Groups = NDArray[np.intp]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out forms that have something in common. by: `views`, `predicted`, or a feature's name.

    actual, predicted: mean rates of the forms; weighted_*: of their views. coverage: the share of the forms whose
    rate lies within its interval. width: the intervals' mean width.
    """

    by: str
    label: str
    forms: int
    views: int
    mae: float
    actual: float
    predicted: float
    weighted_actual: float
    weighted_predicted: float
    coverage: float | None = None
    width: float | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out forms: (n,) views, actual rates, predicted rates and, where there are, bounds of their intervals."""

    views: Array
    actual: Array
    rate: Array
    lower: Array | None = None
    upper: Array | None = None


def slices_by_views(judged: Judged, least: int = LEAST_FORMS) -> list[Slice]:
    """Buckets of views with `least` forms in each."""
    edges = views_edges(judged.views, least)
    starts = [1, *edges.astype(int).tolist()]
    labels = [_span(start, stop - 1) for start, stop in pairwise(starts)] + [f"{starts[-1]:,}+"]
    return _cut(judged, VIEWS, np.searchsorted(edges, judged.views, side="right"), labels)


def slices_by_prediction(judged: Judged, count: int = 10) -> list[Slice]:
    """Equally many forms in each; equal predictions are in one slice, so there may be fewer."""
    groups = _quantile_groups(judged.rate, count)
    return _cut(judged, PREDICTED, groups, _ranges(judged.rate, groups))


def slices_by_feature(judged: Judged, name: str, values: Array) -> list[Slice]:
    """Quarters by the values (n,) of a feature; where many are 0, these and thirds of the others."""
    zero = values == 0
    if zero.mean() < _MANY_ZEROS:
        groups = _quantile_groups(values, 4)
    else:
        groups = np.zeros(len(values), dtype=np.intp)
        groups[~zero] = 1 + _quantile_groups(values[~zero], 3)
    return _cut(judged, name, groups, _ranges(values, groups))


def _cut(judged: Judged, by: str, groups: Groups, labels: list[str]) -> list[Slice]:
    """A slice a group; groups: (n,) positions in labels, none of which is empty."""
    forms = np.bincount(groups, minlength=len(labels))
    views = np.bincount(groups, judged.views)

    def mean(values: Array) -> list[float]:
        return list((np.bincount(groups, values) / forms).tolist())

    def weighted(values: Array) -> list[float]:
        return list((np.bincount(groups, judged.views * values) / views).tolist())

    columns: dict[str, list[float]] = {
        "mae": mean(np.abs(judged.rate - judged.actual)),
        "actual": mean(judged.actual),
        "predicted": mean(judged.rate),
        "weighted_actual": weighted(judged.actual),
        "weighted_predicted": weighted(judged.rate),
    }
    if judged.lower is not None and judged.upper is not None:
        within = (judged.lower <= judged.actual) & (judged.actual <= judged.upper)
        columns |= {"coverage": mean(within.astype(np.float64)), "width": mean(judged.upper - judged.lower)}
    return [
        Slice(
            by=by,
            label=label,
            forms=int(forms[i]),
            views=int(views[i]),
            **{name: values[i] for name, values in columns.items()},
        )
        for i, label in enumerate(labels)
    ]


def _quantile_groups(values: Array, count: int) -> Groups:
    """(n,) numbers from 0, without gaps: about equally many in each, equal values in the same.

    A few beside many equal values, under a quarter of a share, join those before them, or else those after.
    """
    if len(values) == 0:
        return np.empty(0, dtype=np.intp)
    edges = np.quantile(values, np.arange(1, count) / count, method="higher")
    groups = np.searchsorted(edges, values, side="right")
    enough = np.bincount(groups, minlength=count) >= len(values) / (4 * count)
    return np.maximum(np.cumsum(enough) - 1, 0)[groups]


def _ranges(values: Array, groups: Groups) -> list[str]:
    """A label a group: its least and its largest value."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(values[order], np.searchsorted(groups[order], np.arange(1, groups.max() + 1)))
    return [_span(part.min(), part.max()) for part in parts]


def _span(least: float, most: float) -> str:
    first, last = (f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for value in (least, most))
    return first if first == last else f"{first}-{last}"
