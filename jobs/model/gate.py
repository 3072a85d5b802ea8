"""Whether a challenger goes live. Pure.

Every night is a test, and a test can take an equally good model for a better one. A champion gives way if a 99.8 %
interval lies wholly below 0: between equal models, by chance on 0.1 % of nights. A champion older than
`stale_after_days` (7) is reviewed once in as many days, where a 98 % interval will do: by chance in 1 % of reviews.
The budget is 365 * 0.001 + 52 * 0.01 = 0.9 false promotions a year, whatever the size of the holdout. An observed
gain below `least_gain` is not worth a change and never replaces a champion, so there are fewer in fact.
Why: docs/adr/0015-an-error-budget-for-promotions.md. How many: benchmarks/GATE.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.model.paired import RESAMPLES, Array, Interval, paired_bootstrap

BASELINE = "baseline"  # what a first model must beat: the median rate for every form

FIRST_CONFIDENCE, NIGHTLY_CONFIDENCE, REVIEW_CONFIDENCE = 0.95, 0.998, 0.98


@dataclass(frozen=True)
class Terms:
    """What a challenger must show.

    confidence: of the interval of the difference, which must lie wholly below 0. least_gain: the share of the rival's
    loss by which the challenger's must be lower. review: the rival is a stale champion whose review is due.
    """

    confidence: float
    least_gain: float = 0.0
    review: bool = False


FIRST = Terms(FIRST_CONFIDENCE)
"""Against the baseline, where no champion would be replaced: a first night needs no budget of errors."""


@dataclass(frozen=True)
class Decision:
    """Whether the challenger goes live, and why, in words with figures. review: it was a stale review."""

    promoted: bool
    reason: str
    interval: Interval | None = None
    review: bool = False


def terms_against(
    champion: datetime,
    challenger: datetime,
    reviews: Iterable[datetime],
    *,
    stale_after: timedelta,
    least_gain: float,
) -> Terms:
    """The terms for a challenger that meets a champion.

    champion, challenger: when they were trained. reviews: for which challengers this champion was reviewed already,
    by when these were trained. Time is counted between models, not from the clock, and to reviews on both sides of
    the challenger: whoever decides again, however late, decides on the same terms.
    """
    stale = challenger - champion > stale_after
    due = stale and all(abs(challenger - review) >= stale_after for review in reviews)
    return Terms(REVIEW_CONFIDENCE if due else NIGHTLY_CONFIDENCE, least_gain, due)


def decide(
    challenger: Array,
    rival: Array,
    *,
    names: tuple[str, str],
    terms: Terms,
    seed: int,
    loss: str = "MAE",
    resamples: int = RESAMPLES,
) -> Decision:
    """Promote a challenger that is better, as surely and by as much as the terms ask for.

    challenger, rival: (n,) losses on the same held-out forms, n >= 1; loss: what their mean is called.
    names: how the challenger and the rival are called in the reason.
    """
    interval = paired_bootstrap(challenger, rival, seed, confidence=terms.confidence, resamples=resamples)
    before = float(rival.mean())
    better = interval.upper < 0
    enough = -interval.difference >= terms.least_gain * before
    name, other = names
    if not better:
        verdict = f"{name} is not shown to be better than {other}"
    elif not enough:
        gain = f"{-interval.difference / before:.3%}, less than the least gain of {100 * terms.least_gain:g}%"
        verdict = f"{name} is better than {other}, but only by {gain}"
    else:
        verdict = f"{name} is better than {other}"
    figures = (
        f"{loss} {challenger.mean():.5f} against {before:.5f} on {len(rival):,} held-out forms, difference "
        f"{interval.difference:+.5f}, {100 * terms.confidence:g} % interval {interval.lower:+.5f} to "
        f"{interval.upper:+.5f}"
    )
    reason = f"In a stale review, {verdict}" if terms.review else verdict
    return Decision(better and enough, f"{reason}: {figures}.", interval, terms.review)
