"""Contributions of features, against Shapley values by brute force over all subsets, from the definition."""

from __future__ import annotations

import io
import math
from itertools import combinations

import numpy as np
import pytest

from speed.explain import Explainer, ExplainError, save_linear, save_trees, transformed

N = 47


def random_trees(random, count, depth, features):
    """Trees that split wherever they like on few features, so that a path meets the same one again."""
    nodes = {name: [] for name in ("feature", "threshold", "left", "right", "value", "cover")}

    def add(level, cover):
        at = len(nodes["feature"])
        for values in nodes.values():
            values.append(-1)
        nodes["value"][at], nodes["cover"][at], nodes["threshold"][at] = random.normal(), cover, 0.0
        if level < depth and cover > 1 and random.random() < 0.85:
            nodes["feature"][at] = int(random.choice(features))
            nodes["threshold"][at] = float(np.float32(random.choice([0.25, 0.5, 0.75, random.random()])))
            share = int(random.integers(1, cover))
            nodes["left"][at], nodes["right"][at] = add(level + 1, share), add(level + 1, cover - share)
        return at

    roots = [add(0, 1_000) for _ in range(count)]
    arrays = {name: np.array(values) for name, values in nodes.items()}
    return arrays | {"roots": np.array(roots), "weights": random.normal(size=count), "base": 0.3}


def goes_left(trees, x, at):
    value, threshold = x[trees["feature"][at]], trees["threshold"][at]
    if trees.get("float32"):
        value = float(np.float32(value))
    return bool(value < threshold if trees.get("strict") else value <= threshold)  # NaN: neither


def expected(trees, x, known, at):
    """EXPVALUE of Lundberg et al. 2020: follow x where the feature is known, else the mean by cover."""
    if trees["feature"][at] == -1:
        return trees["value"][at]
    left, right = trees["left"][at], trees["right"][at]
    if trees["feature"][at] in known:
        return expected(trees, x, known, left if goes_left(trees, x, at) else right)
    cover = trees["cover"]
    ways = cover[left] * expected(trees, x, known, left) + cover[right] * expected(trees, x, known, right)
    return ways / (cover[left] + cover[right])


def brute_force(trees, x, features):
    """Base, Shapley values by their definition, prediction."""

    def worth(known):
        sums = [w * expected(trees, x, known, r) for w, r in zip(trees["weights"], trees["roots"], strict=True)]
        return trees["base"] + sum(sums)

    m, values = len(features), np.zeros(N)
    for feature in features:
        others = [other for other in features if other != feature]
        for size in range(m):
            weight = math.factorial(size) * math.factorial(m - size - 1) / math.factorial(m)
            for subset in combinations(others, size):
                values[feature] += weight * (worth({*subset, feature}) - worth(set(subset)))
    return worth(set()), values, worth(set(features))


@pytest.mark.parametrize("mode", [{}, {"strict": True}, {"strict": True, "float32": True}])
@pytest.mark.parametrize("depth", [0, 1, 3, 7])
def test_trees_have_the_shapley_values_of_the_definition(depth, mode):
    random = np.random.default_rng(depth)
    features = [0, 7, 8, 30, 46]
    trees = random_trees(random, 4, depth, features) | mode
    explainer = Explainer(save_trees(**trees))
    for row in range(6):
        x = random.choice([0.25, 0.5, 0.75, random.random(), 0.1 + 0.2], size=N)
        if row == 0:
            x[features] = np.nan
        found = explainer.explain(x)
        base, values, prediction = brute_force(trees, x, features)
        np.testing.assert_allclose(found.contributions, values, atol=1e-12)
        assert found.base == pytest.approx(base, abs=1e-12)
        assert found.prediction == pytest.approx(prediction, abs=1e-12)


def test_contributions_of_a_large_ensemble_add_up():
    random = np.random.default_rng(3)
    trees = random_trees(random, 60, 9, range(N))
    explainer = Explainer(save_trees(**trees))
    for x in random.random((20, N)):
        base, contributions, prediction = explainer.explain(x)
        walked = trees["base"]
        for weight, at in zip(trees["weights"], trees["roots"], strict=True):
            while trees["feature"][at] != -1:
                at = trees["left" if goes_left(trees, x, at) else "right"][at]  # noqa: PLW2901
            walked += weight * trees["value"][at]
        assert prediction == pytest.approx(walked, abs=1e-9)
        assert base + contributions.sum() == pytest.approx(walked, abs=1e-9)


@pytest.mark.parametrize("transform", ["raw", "log1p", "log1p_flags"])
@pytest.mark.parametrize("link", ["identity", "logit"])
def test_linear_contributions_add_up_and_are_zero_at_the_mean(transform, link):
    random = np.random.default_rng(5)
    rows = random.exponential(2.0, (50, N)) * (random.random((50, N)) < 0.5)
    seen = transformed(rows, transform)
    coefficients, means = random.normal(0, 0.2, seen.shape[1]), seen.mean(axis=0)
    explainer = Explainer(save_linear(coefficients, 0.1, means, transform=transform, link=link))
    for x, row in zip(rows, seen, strict=True):
        score = 0.1 + coefficients @ row
        wanted = score if link == "identity" else 1 / (1 + math.exp(-score))
        base, contributions, prediction = explainer.explain(x)
        assert prediction == pytest.approx(wanted, abs=1e-12)
        assert base + contributions.sum() == pytest.approx(wanted, abs=1e-9)
        parts = (coefficients * (row - means)).reshape(-1, N).sum(axis=0)
        assert (np.sign(contributions) == np.sign(parts)).all()
        if link == "identity":
            np.testing.assert_allclose(contributions, parts)
    if transform == "raw":
        assert not Explainer(save_linear(coefficients, 0.1, rows[0], transform="raw")).explain(rows[0])[1].any()


def damaged_files():
    good = save_trees(**random_trees(np.random.default_rng(1), 2, 3, [1, 2]))
    other = io.BytesIO()
    np.savez(other, kind="cards", roots=np.zeros(1))
    objects = io.BytesIO()
    np.savez(objects, kind=np.array([object()], dtype=object))
    return {
        "empty": b"",
        "text": b"no file",
        "cut": good[:-40],
        "other": other.getvalue(),
        "code": objects.getvalue(),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "other", "code"])
def test_a_damaged_file_is_refused_in_a_sentence(kind, tmp_path):
    path = tmp_path / "explain.npz"
    path.write_bytes(damaged_files()[kind])
    with pytest.raises(ExplainError, match=r"explain.npz cannot be used .*: train again\.$"):
        Explainer(path)


def test_a_missing_file_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ExplainError, match="cannot be used"):
        Explainer(tmp_path / "explain.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"feature": np.array([47, -1, -1])},
        {"left": np.array([0, -1, -1])},  # a ring
        {"right": np.array([9, -1, -1])},
        {"cover": np.array([2.0, 0.0, 0.0])},
        {"value": np.array([0.0, np.nan, 1.0])},
        {"weights": np.ones(2)},
    ],
)
def test_what_is_no_tree_is_refused(change):
    stump = {
        "roots": np.array([0]),
        "feature": np.array([3, -1, -1]),
        "threshold": np.array([0.5, 0, 0]),
        "left": np.array([1, -1, -1]),
        "right": np.array([2, -1, -1]),
        "value": np.array([0.5, 0.0, 1.0]),
        "cover": np.array([2.0, 1.0, 1.0]),
        "weights": np.ones(1),
    }
    assert Explainer(save_trees(**stump)).explain([0.5] * N).contributions[3] == -0.5
    with pytest.raises(ExplainError, match="cannot be explained"):
        save_trees(**(stump | change))


def test_other_features_than_the_contract_are_refused():
    explainer = Explainer(save_linear(np.zeros(N), 0.2, np.zeros(N), transform="raw"))
    with pytest.raises(ExplainError, match="47 features"):
        explainer.explain([1.0] * 46)
