"""Whether a challenger goes live: a paired bootstrap on the forms that were held out. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BASELINE = "baseline"  # what a first model must beat: the median rate for every form

CONFIDENCE = 0.95
RESAMPLES = 2_000
STALE_TOLERANCE = 0.005  # of the champion's loss: a fifth of what a forest gains over a straight line
_MAX_UNITS = 100_000


@dataclass(frozen=True)
class Interval:
    """A difference of two mean losses on the same forms, with its 95 % interval. Below 0: the first is better."""

    difference: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Decision:
    """Whether the challenger goes live, and why, in words with figures."""

    promoted: bool
    reason: str
    interval: Interval | None = None


def paired_bootstrap(challenger: Array, rival: Array, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The difference of mean losses, challenger - rival, with its 95 % percentile interval.

    challenger, rival: (n,) losses (jobs.model.losses) on the same forms in the same order, n >= 1.
    Over 100,000 forms, equally large groups of forms drawn at random are resampled in place of single forms. Their
    means vary as those of forms do, so the interval is the same, and time and memory stay bounded (about 1 s).
    Source: Efron & Tibshirani 1993, chapter 13.
    """
    random = np.random.default_rng(seed)
    differences = challenger - rival
    size = -(-len(differences) // _MAX_UNITS)
    units = differences
    if size > 1:
        shuffled = random.permutation(differences)
        units = shuffled[: len(shuffled) // size * size].reshape(-1, size).mean(axis=1)
    means = np.empty(resamples)
    for i in range(resamples):
        means[i] = units[random.integers(0, len(units), len(units), dtype=np.uint32)].mean()
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()), float(lower), float(upper))


def decide(
    challenger: Array, rival: Array, *, names: tuple[str, str], stale: bool, seed: int, loss: str = "MAE"
) -> Decision:
    """Promote a challenger that is better with 95 % confidence; where the rival is stale, one that is not worse.

    challenger, rival: (n,) losses on the same held-out forms; loss: what their mean is called.
    names: how the challenger and the rival are called in the reason.
    stale: the rival is so old that a model within 0.5 % of its loss, with the same confidence, is to be preferred.
    """
    interval = paired_bootstrap(challenger, rival, seed)
    tolerance = STALE_TOLERANCE * float(rival.mean())
    better = interval.upper < 0
    promoted = better or (stale and interval.upper <= tolerance)
    figures = (
        f"{loss} {challenger.mean():.5f} against {rival.mean():.5f} on {len(rival):,} held-out forms, "
        f"difference {interval.difference:+.5f}, 95 % interval {interval.lower:+.5f} to {interval.upper:+.5f}"
    )
    name, other = names
    if better:
        verdict = f"{name} is better than {other}"
    elif promoted:
        verdict = f"{name} is not worse than {other}, which is stale"
    elif stale:
        verdict = f"{name} may be worse than {other} by more than {STALE_TOLERANCE:.1%}, stale as that is"
    else:
        verdict = f"{name} is not shown to be better than {other}"
    return Decision(promoted, f"{verdict}: {figures}.", interval)
