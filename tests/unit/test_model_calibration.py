from __future__ import annotations

import numpy as np
import pytest

from jobs.model.calibration import IDENTITY, Calibration, fit_calibration
from jobs.model.losses import losses


def forms(n, seed, bend=1.0):
    """Raw predictions, and rates whose true chance is a bent version of them; many views seen for high rates."""
    random = np.random.default_rng(seed)
    raw = random.beta(3, 3, n)
    views = random.integers(1, 200, n).astype(float)
    return raw, random.binomial(views.astype(int), raw**bend) / views, views


def loss(objective, calibration, raw, actual, views):
    return losses(objective, actual, calibration.apply(raw), views).mean()


def test_apply_is_straight_between_knots_and_stays_within_rates():
    calibration = Calibration(np.array([0.2, 0.4]), np.array([0.0, 1.0]))
    assert calibration.apply(np.array([-3.0, 0.2, 0.25, 0.4, 9.0])) == pytest.approx([0, 0, 0.25, 1, 1])
    assert IDENTITY.apply(np.array([-3.0, 0.25, 9.0])).tolist() == [0, 0.25, 1]


@pytest.mark.parametrize("objective", ["mae", "mse", "deviance"])
def test_fit_calibration_straightens_what_is_bent(objective):
    fitted = fit_calibration(*forms(20_000, 1, bend=2.0), objective)
    raw, actual, views = forms(50_000, 2, bend=2.0)
    most = loss(objective, IDENTITY, raw, actual, views) - losses(objective, actual, raw**2, views).mean()
    gain = loss(objective, IDENTITY, raw, actual, views) - loss(objective, fitted, raw, actual, views)
    assert gain > 0.97 * most > 0
    assert np.abs(fitted.apply(raw) - raw**2).mean() < 0.01
    assert (np.diff(fitted.x) > 0).all() and (np.diff(fitted.y) >= 0).all()


@pytest.mark.parametrize(("objective", "bend"), [("mae", 1.0), ("mse", 1.0), ("deviance", 1.0), ("mae", 1.02)])
def test_fit_calibration_makes_nothing_noticeably_worse(objective, bend):
    """Models that are right, or almost, over many small calibration sets."""
    fresh = forms(50_000, 1_000, bend)
    before = loss(objective, IDENTITY, *fresh)
    changes = []
    for seed in range(40):
        fitted = fit_calibration(*forms(2_000, seed, bend), objective)
        changes.append(loss(objective, fitted, *fresh) / before - 1)
    assert np.mean(changes) < 0.001 and max(changes) < 0.02


@pytest.mark.parametrize("objective", ["mae", "mse", "deviance"])
def test_fit_calibration_of_few_forms_only_where_they_leave_no_doubt(objective):
    for bend, helps in ((1.0, False), (2.0, True)):
        fresh = forms(50_000, 1_000, bend)
        before = loss(objective, IDENTITY, *fresh)
        for seed in range(20):
            after = loss(objective, fit_calibration(*forms(700, seed, bend), objective), *fresh)
            assert after < before / 2 if helps else after == before


def test_fit_calibration_of_means_is_the_isotonic_regression_of_tied_predictions():
    """A tree of ten leaves has ten raw predictions, each a bin. The oracle is the min-max formula."""
    random = np.random.default_rng(4)
    leaf = random.integers(0, 10, 6_000)
    views = random.integers(1, 100, 6_000).astype(float)
    chance = np.array([2, 1, 1, 3, 5, 4, 4, 8, 9, 7]) / 10  # the model is wrong about the order of some leaves
    actual = random.binomial(views.astype(int), chance[leaf]) / views
    for objective, weights in (("mse", np.ones(6_000)), ("deviance", views)):
        wanted = []
        for k in range(10):
            candidates = []
            for i in range(k + 1):
                means = []
                for j in range(k, 10):
                    within = (leaf >= i) & (leaf <= j)
                    means.append((weights * actual)[within].sum() / weights[within].sum())
                candidates.append(min(means))
            wanted.append(max(candidates))
        fitted = fit_calibration(leaf / 9, actual, views, objective)
        assert fitted.apply(np.arange(10) / 9) == pytest.approx(wanted, abs=1e-12)


def test_fit_calibration_shifts_the_outermost_forms():
    raw = np.linspace(0.3, 0.6, 5_000)
    fitted = fit_calibration(raw, raw + 0.1, np.ones(5_000), "mae")
    assert fitted.apply(np.array([-1.0, 0.0, 0.3, 0.6, 0.8, 7.0])) == pytest.approx(
        [0, 0.1, 0.4, 0.7, 0.9, 1], abs=1e-9
    )


def test_fit_calibration_of_a_constant_and_of_few_forms():
    raw, actual, views = forms(3_000, 7)
    constant = fit_calibration(np.full(3_000, 0.9), actual, views, "mae")
    assert constant.apply(np.array([0.9])) == pytest.approx(np.median(actual))
    some = np.full(60, 0.9), actual[:60], views[:60]
    means = {"mae": 0.9, "mse": actual[:60].mean(), "deviance": (actual * views)[:60].sum() / views[:60].sum()}
    for objective, mean in means.items():  # of few forms a median stays, and a mean takes its place
        assert fit_calibration(*some, objective).apply(np.array([0.9])) == pytest.approx(mean)
    assert len(fit_calibration(raw[:499] / 2, actual[:499], views[:499], "mae").x) == 0
    assert len(fit_calibration(raw[:0], actual[:0], views[:0], "mae").x) == 0
