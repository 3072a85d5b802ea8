from __future__ import annotations

from math import ceil, isnan, sqrt

import numpy as np
import pytest

from jobs.model.intervals import Interval, fit_interval


def forms(n, seed, rho=0.1, most=10_000):
    """Predictions, and rates of a beta-binomial around them: views of one form have the correlation rho."""
    random = np.random.default_rng(seed)
    rate = random.beta(4, 3, n)
    views = np.floor(np.exp(random.uniform(0, np.log(most), n)))
    chance = random.beta(rate * (1 / rho - 1), (1 - rate) * (1 / rho - 1)) if rho else rate
    return rate, random.binomial(views.astype(int), chance) / views, views


def covered(interval, rate, actual, views):
    lower, upper = interval.bounds(rate, views)
    return (lower <= actual) & (actual <= upper)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_fit_interval_covers_fresh_forms_overall_and_in_every_bucket(coverage, rho):
    interval = fit_interval(*forms(60_000, 1, rho), coverage)
    rate, actual, views = forms(300_000, 2, rho)
    hit = covered(interval, rate, actual, views)
    assert hit.mean() == pytest.approx(coverage, abs=0.01)
    assert interval.overdispersion == pytest.approx(rho, abs=0.005)
    # Finer than the interval's own buckets: views of 1, 2, 3, ... each, then a tenth of a decade each.
    fine = np.where(views < 10, views, 10 + np.floor(10 * np.log10(views)))
    for bucket in np.unique(fine):
        assert hit[fine == bucket].mean() == pytest.approx(coverage, abs=0.03), bucket


def test_fit_interval_covers_by_its_exact_chance_with_few_forms():
    """Over many fits on 39 forms, the (n + 1) correction makes the mean coverage 90 %; without it, 85 %."""
    hits = []
    for seed in range(1_500):
        rate, actual, views = forms(239, seed, most=20_000)
        views, rate = views + 5_000, np.clip(rate, 0.2, 0.8)  # many views: no ties
        actual = np.random.default_rng(seed + 10_000).beta(rate * 9, (1 - rate) * 9)
        interval = fit_interval(rate[:39], actual[:39], views[:39], 0.9)
        hits.append(covered(interval, rate[39:], actual[39:], views[39:]).mean())
    assert np.mean(hits) == pytest.approx(0.9, abs=0.005)


def test_fit_interval_ranks_residuals_as_a_naive_loop_does():
    rate, actual, views = forms(500, 3)
    interval = fit_interval(rate, actual, views, 0.9)
    below = []
    for p, y, v in zip(rate.tolist(), actual.tolist(), views.tolist(), strict=True):
        q = min(max(p, 1e-3), 1 - 1e-3)
        below.append((p - y) / sqrt(q * (1 - q) * (1 / v + interval.overdispersion * (1 - 1 / v))))
    rank = ceil(501 * 0.95)
    assert interval.edges.tolist() == []
    assert interval.low == pytest.approx([sorted(below)[rank - 1]])
    assert interval.high == pytest.approx([sorted(-r for r in below)[rank - 1]])


def test_fit_interval_claims_nothing_where_forms_are_too_few():
    rate, actual, views = forms(18, 4)  # 19 are the least that leave one of twenty out on a side
    lower, upper = fit_interval(rate, actual, views, 0.9).bounds(np.array([0.5, 0.0]), np.array([1e12, 1e18]))
    assert lower.tolist() == [0, 0] and upper.tolist() == [1, 1]
    lower, upper = fit_interval(rate[:0], actual[:0], views[:0], 0.9).bounds(rate, views)
    assert (lower == 0).all() and (upper == 1).all()


def test_fit_interval_never_misses_too_often_by_ties():
    """One prediction and one view: a rate is 0 or 1, and what is not certain is within."""
    random = np.random.default_rng(5)
    rate, views = np.full(4_000, 0.6), np.ones(4_000)
    for chance in (0.02, 0.4, 0.97):
        interval = fit_interval(rate, random.binomial(1, chance, 4_000).astype(float), views, 0.9)
        assert covered(interval, rate, random.binomial(1, chance, 4_000), views).mean() >= 0.89
        lower, upper = interval.bounds(rate, views)
        assert (lower <= rate).all() and (rate <= upper).all()


def test_bounds_equal_a_naive_loop_and_say_nothing_without_views():
    interval = Interval(0.8, 0.04, np.array([10.0, 100.0]), np.array([1.0, 2.0, 1.5]), np.array([1.1, 0.5, 3.0]))
    rate = np.array([0.0, 0.3, 0.5, 1.0, 0.7, 0.5, 0.5, 0.5])
    views = np.array([1.0, 9.0, 10.0, 100.0, 99.5, 0.0, 0.5, np.nan])
    lower, upper = interval.bounds(rate, views)
    for p, v, low, high in zip(rate.tolist(), views.tolist(), lower.tolist(), upper.tolist(), strict=True):
        if isnan(v) or v < 1:
            assert isnan(low) and isnan(high)
            continue
        bucket = 0 if v < 10 else 1 if v < 100 else 2
        q = min(max(p, 0.001), 0.999)
        scale = sqrt(q * (1 - q) * (1 / v + 0.04 * (1 - 1 / v)))
        assert low == pytest.approx(max(p - (1.0, 2.0, 1.5)[bucket] * scale, 0))
        assert high == pytest.approx(min(p + (1.1, 0.5, 3.0)[bucket] * scale, 1))


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, float("nan")])
def test_fit_interval_refuses_a_coverage_that_is_none(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_interval(*forms(100, 6), coverage)
