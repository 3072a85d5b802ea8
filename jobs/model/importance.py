"""Which features a model leans on: how much worse it gets when one is shuffled. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from scipy.special import stdtrit

from jobs.model.losses import Array
from speed.contract import FEATURES

CONFIDENCE = 0.95


class Importance(msgspec.Struct, frozen=True):
    """increase: of the holdout's MAE when the feature's values are shuffled, with its 95 % interval."""

    feature: str
    increase: float
    lower: float
    upper: float


def permutation_importance(
    score: Callable[[Array], Array], features: Array, actual: Array, seed: int, repeats: int = 3
) -> list[Importance]:
    """Every feature's importance, the largest first.

    score: (n, 47) features to (n,) rates; it is called with one array that changes between calls. features: (n, 47),
    n >= 2; actual: (n,) completion rates. 47 * repeats + 1 times n rows are scored at most; a feature of one value
    costs nothing. The interval is Student's, over forms, of each form's mean increase over the repeats: with one
    partner drawn per form and repeat, that holds what forms and shuffles add to chance.
    Source: Fisher, Rudin & Dominici 2019 (model reliance).
    """
    random = np.random.default_rng(seed)
    rows = np.array(features, dtype=np.float64)
    before = np.abs(score(rows) - actual)
    reach = float(stdtrit(len(actual) - 1, (1 + CONFIDENCE) / 2)) / np.sqrt(len(actual))
    found = []
    for column, name in enumerate(FEATURES):
        original = rows[:, column].copy()
        increase = np.zeros(len(actual))
        if original.min() < original.max():
            for _ in range(repeats):
                rows[:, column] = random.permutation(original)
                increase += (np.abs(score(rows) - actual) - before) / repeats
            rows[:, column] = original
        mean, half = float(increase.mean()), float(reach * increase.std(ddof=1))
        found.append(Importance(name, mean, mean - half, mean + half))
    return sorted(found, key=lambda each: (-each.increase, each.feature))
