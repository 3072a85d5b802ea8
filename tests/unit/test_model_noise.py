from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jobs.model.losses import losses
from jobs.model.noise import binomial_mad, label_variance, noise_floor


def forms(n, seed, most=500, spread=0.15):
    """Forms whose true chances are known: around their predictions by something that is no beta."""
    random = np.random.default_rng(seed)
    rate = random.uniform(0.25, 0.75, n)
    chance = np.clip(rate + spread * random.choice([-1.0, 0.2, 0.8], n), 0.01, 0.99)
    views = np.floor(np.exp(random.uniform(0, np.log(most), n)))
    return chance, rate, random.binomial(views.astype(int), chance) / views, views


def test_binomial_mad_equals_the_sum_over_all_outcomes():
    for views in (1, 2, 3, 7, 20, 151):
        for chance in (0.0, 0.001, 0.2, 0.5, 0.77, 1.0):
            outcomes = np.arange(views + 1)
            median = stats.binom.median(views, chance)
            wanted = stats.binom.pmf(outcomes, views, chance) @ np.abs(outcomes - median) / views
            found = binomial_mad(np.array([chance]), np.array([float(views)]))
            assert found == pytest.approx(wanted, abs=1e-12), (views, chance)


def test_binomial_mad_of_many_views_is_that_of_the_normal_distribution():
    chance, views = np.array([0.1, 0.5, 0.9]), np.array([1e6, 1e9, 1e7])
    assert binomial_mad(chance, views) == pytest.approx(np.sqrt(2 / np.pi * chance * (1 - chance) / views), rel=1e-3)


def test_label_variance_is_unbiased():
    chance, rate, actual, views = forms(400_000, 1)
    found = label_variance(actual, rate, views)
    for low, high in ((1, 2), (2, 3), (3, 10), (10, 1_000)):
        within = (views >= low) & (views < high)
        assert found[within].mean() == pytest.approx((chance * (1 - chance) / views)[within].mean(), rel=0.02)


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_noise_floor_is_the_loss_of_who_knows_the_true_chances(spread):
    chance, rate, actual, views = forms(200_000, 2, spread=spread)
    found = noise_floor(actual, rate, views, seed=1)
    median = stats.binom.median(views, chance) / views
    weights = views / views.sum()
    assert found.mae == pytest.approx(np.abs(actual - median).mean(), rel=0.015)
    assert found.weighted_mae == pytest.approx(weights @ np.abs(actual - median), rel=0.015)
    assert found.rmse == pytest.approx(np.sqrt(((actual - chance) ** 2).mean()), rel=0.01)
    assert found.weighted_rmse == pytest.approx(np.sqrt(weights @ (actual - chance) ** 2), rel=0.02)
    assert found.r2 == pytest.approx(1 - ((actual - chance) ** 2).mean() / actual.var(), abs=0.01)
    assert found.deviance == pytest.approx(losses("deviance", actual, chance, views).mean(), rel=0.02)


def test_noise_floor_tells_how_much_of_the_explainable_is_explained():
    chance, rate, actual, views = forms(100_000, 3)
    nothing = noise_floor(actual, np.full(100_000, np.median(actual)), views, seed=1).explained
    something = noise_floor(actual, rate, views, seed=1).explained
    everything = noise_floor(actual, chance, views, seed=1).explained
    assert set(everything) == {"mae", "weighted_mae", "deviance", "r2", "weighted_r2"}
    assert nothing["mae"] == pytest.approx(0, abs=1e-9)
    # The true chance is no median: of a form with one view, |y - p| is 2 p (1 - p), and the floor min(p, 1 - p).
    most, found, floor = (
        np.abs(actual - guess).mean()
        for guess in (np.median(actual), chance, stats.binom.median(views, chance) / views)
    )
    wanted = dict.fromkeys(everything, 1.0) | {"mae": (most - found) / (most - floor)}
    for metric, share in everything.items():
        assert share == pytest.approx(wanted[metric], abs=0.03), metric
        assert nothing[metric] < something[metric] < share


def test_noise_floor_where_there_is_nothing_to_explain():
    same = noise_floor(np.full(20, 0.5), np.full(20, 0.5), np.full(20, 2.0), seed=1)
    assert same.r2 == 0 and same.explained == {}
    assert np.isfinite([same.mae, same.rmse, same.deviance]).all()
    certain = noise_floor(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 9e17]), seed=1)
    assert np.isfinite([certain.mae, certain.deviance, certain.weighted_mae]).all()
