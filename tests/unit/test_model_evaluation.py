from __future__ import annotations

import time

import msgspec
import numpy as np
import pytest

from jobs.model.evaluation import Evaluation, Parity, compare, coverage_of, evaluate_all
from jobs.model.importance import Importance
from jobs.model.intervals import fit_interval
from jobs.model.metrics import evaluate
from jobs.model.slices import Judged, slices_by_feature, slices_by_prediction, slices_by_views


def holdout(n, seed=1):
    random = np.random.default_rng(seed)
    rate = random.beta(4, 4, n)
    views = np.floor(np.exp(random.uniform(0, 8, n)))
    chance = random.beta(9 * rate, 9 * (1 - rate))
    actual = random.binomial(views.astype(int), chance) / views
    lower, upper = fit_interval(rate, actual, views, 0.8).bounds(rate, views)
    return Judged(views, actual, rate, lower, upper)


def naive(judged, chosen):
    rows = [(judged.views[i], judged.actual[i], judged.rate[i], judged.lower[i], judged.upper[i]) for i in chosen]
    n, views = len(rows), sum(row[0] for row in rows)
    return {
        "forms": n,
        "views": int(views),
        "mae": sum(abs(y - p) for _, y, p, _, _ in rows) / n,
        "actual": sum(y for _, y, *_ in rows) / n,
        "predicted": sum(p for _, _, p, _, _ in rows) / n,
        "weighted_actual": sum(v * y for v, y, *_ in rows) / views,
        "weighted_predicted": sum(v * p for v, _, p, _, _ in rows) / views,
        "coverage": sum(low <= y <= high for _, y, _, low, high in rows) / n,
        "width": sum(high - low for *_, low, high in rows) / n,
    }


def assert_slice(found, judged, chosen):
    figures = msgspec.structs.asdict(found)
    assert {name: figures[name] for name in naive(judged, chosen)} == pytest.approx(naive(judged, chosen), rel=1e-9)


def test_slices_by_views_equal_a_naive_loop():
    judged = holdout(3_000)
    found = slices_by_views(judged)
    assert [each.label for each in found][:2] == ["1-1", "2-2"] or found[0].label.startswith("1")
    assert sum(each.forms for each in found) == 3_000 and min(each.forms for each in found) >= 200
    for each in found:
        low, _, high = each.label.replace(",", "").partition("-")
        bounds = (int(low.rstrip("+")), float("inf") if low.endswith("+") else int(high or low))
        assert_slice(each, judged, [i for i, v in enumerate(judged.views) if bounds[0] <= v <= bounds[1]])


def test_slices_by_prediction_are_tenths_in_order_and_keep_ties_together():
    judged = holdout(2_000)
    found = slices_by_prediction(judged)
    order = np.argsort(judged.rate)
    for tenth, each in enumerate(found):
        assert_slice(each, judged, order[tenth * 200 : (tenth + 1) * 200])
    tied = Judged(judged.views, judged.actual, np.where(judged.rate < 0.6, 0.25, 0.75))
    assert [(each.label, each.forms) for each in slices_by_prediction(tied)] == [
        ("0.25", int((judged.rate < 0.6).sum())),
        ("0.75", int((judged.rate >= 0.6).sum())),
    ]
    assert slices_by_prediction(tied)[0].coverage is None


def test_slices_by_feature_give_zeros_a_slice_of_their_own():
    judged = holdout(800)
    values = np.arange(800) % 8 // 4 * (np.arange(800) + 1.0)  # half of them 0
    found = slices_by_feature(judged, "feat_07", values)
    assert found[0].label == "0" and found[0].forms == 400
    ordered = [i for i in range(800) if values[i] > 0]
    assert len(found) == 4 and all(abs(each.forms - 400 / 3) <= 1 for each in found[1:])
    assert_slice(found[1], judged, ordered[: found[1].forms])
    assert [each.forms for each in slices_by_feature(judged, "feat_07", np.arange(800) + 1.0)] == [200] * 4
    assert [each.label for each in slices_by_feature(judged, "feat_07", np.zeros(800))] == ["0"]
    few = np.array([0.0] * 3 + [1.0] * 500 + [2.0] * 294 + [9.0] * 3)  # too few at both ends to be a slice
    assert [(each.label, each.forms) for each in slices_by_feature(judged, "feat_07", few)] == [
        ("0-1", 503),
        ("2-9", 297),
    ]


def test_compare_gives_the_interval_of_all_forms():
    """Against the normal approximation, which is exact enough for means of 50,000 forms."""
    judged = holdout(50_000)
    theirs = np.clip(judged.rate + 0.02, 0, 1)
    found = compare(judged.actual, judged.rate, theirs, names=("a", "b"), seed=3)
    differences = np.abs(judged.rate - judged.actual) - np.abs(theirs - judged.actual)
    half = 1.96 * differences.std() / np.sqrt(50_000)
    assert (found.name, found.other, found.difference) == ("a", "b", pytest.approx(differences.mean(), rel=1e-12))
    assert [found.lower, found.upper] == pytest.approx(
        [found.difference - half, found.difference + half], abs=half / 5
    )


def test_coverage_of_is_by_buckets_that_are_large_enough():
    found = coverage_of(holdout(9_000), 0.8)
    assert found.overall == pytest.approx(0.8, abs=0.02)
    assert all(each.forms >= 1_000 and 0 < each.width < 1 for each in found.by_views)
    assert sum(each.forms * each.coverage for each in found.by_views) / 9_000 == pytest.approx(found.overall)
    with pytest.raises(ValueError, match="no bounds"):
        coverage_of(Judged(np.ones(3), np.ones(3), np.ones(3)), 0.8)


def timed_evaluation(n):
    """Judged holdout of n forms, the rates of seven families, their evaluation, and the CPU time that it took."""
    judged, random = holdout(n), np.random.default_rng(9)
    rates = {"gbt": judged.rate} | {f"f{i}": np.clip(judged.rate + random.normal(0, 0.1, n), 0, 1) for i in range(6)}
    features = {f"feat_0{i}": random.random(n) for i in range(5)}
    start = time.process_time()
    found = evaluate_all(judged, rates, "gbt", 0.8, rivals={"champion": judged.rate}, features=features, seed=4)
    return judged, rates, found, time.process_time() - start


def test_evaluate_all_is_complete_survives_json_and_grows_with_the_forms_alone():
    *_, fewer = timed_evaluation(20_000)
    judged, rates, found, seconds = timed_evaluation(200_000)
    assert seconds < 50 * fewer  # about 10 times; what compares each with each takes 100 times
    assert found.families["f3"] == evaluate(judged.actual, rates["f3"], judged.views)
    assert [each.other for each in found.comparisons] == [*(f"f{i}" for i in range(6)), "champion"]
    assert found.comparisons[0].upper < 0 and found.comparisons[-1].difference == found.comparisons[-1].upper == 0
    assert {each.by for each in found.slices} == {"views", "predicted", *(f"feat_0{i}" for i in range(5))}
    assert len(found.reliability) == 15 and found.noise.mae < found.families["gbt"]["mae"]
    full = msgspec.structs.replace(
        found, importance=[Importance("feat_01", 0.1, 0.0, 0.2)], parity=Parity(rows=3, largest=0.0, tolerance=1e-9)
    )
    assert msgspec.json.decode(msgspec.json.encode(full), type=Evaluation) == full


def test_evaluate_all_of_a_handful_of_forms():
    judged = holdout(10)
    found = evaluate_all(judged, {"baseline": np.full(10, 0.5), "linear": judged.rate}, "linear", 0.8)
    assert found.coverage.by_views[0].forms == 10 and len(found.slices) == 11
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found
