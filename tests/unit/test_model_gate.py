from __future__ import annotations

import numpy as np
import pytest

from jobs.model.gate import decide, paired_bootstrap

NAMES = ("challenger", "champion")


def errors(shift: float, n: int = 4_000):
    """Absolute errors of a champion, and of a challenger that is off by `shift` on average, with noise."""
    random = np.random.default_rng(1)
    champion = random.random(n) * 0.4
    return champion + random.normal(0, 0.02, n) + shift, champion


@pytest.mark.parametrize(
    ("shift", "stale", "promoted"),
    [
        (-0.002, False, True),  # better: six standard errors
        (0.0, False, False),  # as good: no reason to change
        (0.002, False, False),
        (0.0, True, True),  # as good, and the champion is stale
        (0.002, True, False),  # worse by 1 %: stale is no excuse
    ],
)
def test_decide_promotes_the_better_and_for_a_stale_champion_the_equal(shift, stale, promoted):
    decision = decide(*errors(shift), names=NAMES, stale=stale, seed=1)
    assert decision.promoted is promoted
    assert "MAE 0." in decision.reason
    assert "4,000 held-out forms" in decision.reason


def test_decide_does_not_let_the_same_model_replace_itself():
    _, champion = errors(0)
    assert not decide(champion, champion, names=NAMES, stale=False, seed=1).promoted


def test_decide_pairs_the_forms():
    """An advantage far below the spread of the errors shows only when the same forms are compared."""
    _, champion = errors(0)
    better = champion - 0.0005 * (champion > 0.1)
    assert decide(better, champion, names=NAMES, stale=False, seed=1).promoted


@pytest.mark.parametrize("n", [3_000, 150_001])
def test_paired_bootstrap_has_the_width_of_the_normal_approximation(n):
    """Above 100,000 forms groups are resampled: the interval must not get narrower for that."""
    challenger, champion = errors(-0.001, n)
    difference = challenger - champion
    half = 1.96 * difference.std() / np.sqrt(n)
    found = paired_bootstrap(challenger, champion, seed=5)
    assert found.difference == pytest.approx(difference.mean())
    assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=0.08)
    assert found == paired_bootstrap(challenger, champion, seed=5)
