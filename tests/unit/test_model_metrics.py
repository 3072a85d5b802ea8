from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from jobs.model.metrics import evaluate


def naive(actual, predicted, weights):
    total = sum(weights)
    mean = sum(w * a for w, a in zip(weights, actual, strict=True)) / total
    absolute = squared = spread = 0.0
    for a, p, w in zip(actual, predicted, weights, strict=True):
        absolute += w * abs(a - p)
        squared += w * (a - p) ** 2
        spread += w * (a - mean) ** 2
    return {"mae": absolute / total, "rmse": sqrt(squared / total), "r2": 1 - squared / spread}


def test_evaluate_equals_a_naive_loop_plain_and_weighted():
    random = np.random.default_rng(3)
    actual, predicted = random.random(500), random.random(500)
    views = random.integers(1, 10_000_000, 500)
    found = evaluate(actual, predicted, views)
    weighted = {f"weighted_{name}": value for name, value in naive(actual, predicted, views.tolist()).items()}
    found.pop("deviance")
    assert found == pytest.approx(naive(actual, predicted, [1] * 500) | weighted, rel=1e-12)


def test_evaluate_gives_the_deviance_of_all_submissions_a_view():
    """Twice the log likelihood that perfect predictions would have, less that of these, from scipy's binomial."""
    random = np.random.default_rng(5)
    views = random.integers(1, 1_000, 300)
    submissions = np.where(np.arange(300) % 3, random.binomial(views, 0.4), np.arange(300) % 2 * views)
    actual, predicted = submissions / views, random.uniform(0.05, 0.95, 300)
    likelihoods = [stats.binom.logpmf(submissions, views, rate).sum() for rate in (actual, predicted)]
    wanted = 2 * (likelihoods[0] - likelihoods[1]) / views.sum()
    assert evaluate(actual, predicted, views)["deviance"] == pytest.approx(wanted, rel=1e-9)
    wrong = evaluate(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([3, 3]))["deviance"]
    assert 20 < wrong < 40  # not infinite: -2 log(1e-6) is 27.6


def test_evaluate_gives_r2_0_where_there_is_nothing_to_explain():
    assert evaluate(np.full(3, 0.5), np.array([0.4, 0.5, 0.6]), np.ones(3))["r2"] == 0


def test_evaluate_refuses_an_empty_holdout():
    with pytest.raises(ValueError, match="no forms are held out"):
        evaluate(np.array([]), np.array([]), np.array([]))
