"""What moved in the input since the last run, feature by feature. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.transforms.drift import mean_shift, moved
from speed.contract import FEATURES

SHOWN = 10

Numbers = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Shift:
    """A feature's mean and share of zeros, before and now; shift in standard deviations of before."""

    feature: str
    shift: float
    mean_before: float
    mean_now: float
    zeros_before: float
    zeros_now: float


@dataclass(frozen=True)
class Drift:
    """since: the run that is compared with; moved: sentences on what passed a limit; shifts: the largest first."""

    since: str
    moved: list[str]
    shifts: list[Shift]


def drift_between(now: Numbers, before: Numbers, since: str) -> Drift | None:
    """now, before: (name, slice) -> value, the metrics of two runs. None where one has no facts of its input."""
    if ("share_rejected", "") not in now or ("share_rejected", "") not in before:
        return None
    known = [f for f in FEATURES if ("mean", f) in now and ("mean", f) in before]
    shifts = [
        Shift(
            feature=feature,
            shift=_in_deviations(mean_shift(now, before, feature), before["std", feature]),
            mean_before=before["mean", feature],
            mean_now=now["mean", feature],
            zeros_before=before["zero_share", feature],
            zeros_now=now["zero_share", feature],
        )
        for feature in known
    ]
    return Drift(since, moved(dict(now), before), sorted(shifts, key=lambda s: -abs(s.shift))[:SHOWN])


def _in_deviations(difference: float, deviation: float) -> float:
    if difference == 0:
        return 0.0
    return difference / deviation if deviation > 0 else float("inf") * (1 if difference > 0 else -1)
