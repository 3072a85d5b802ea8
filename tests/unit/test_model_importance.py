from __future__ import annotations

import numpy as np
import pytest

from jobs.model.importance import permutation_importance
from speed.contract import FEATURES


def forms(n, seed):
    """The rate is 0.3 feat_02 + 0.1 feat_05, plus noise; feat_09 has one value."""
    random = np.random.default_rng(seed)
    features = random.random((n, 47))
    features[:, 8] = 3.0
    return features, 0.3 * features[:, 1] + 0.1 * features[:, 4] + random.normal(0, 0.01, n)


def score(features):
    return 0.3 * features[:, 1] + 0.1 * features[:, 4] + 0 * features[:, 8]


def test_permutation_importance_ranks_what_the_model_leans_on():
    features, actual = forms(4_000, 1)
    before = features.copy()
    found = permutation_importance(score, features, actual, seed=7)
    assert [each.feature for each in found[:2]] == ["feat_02", "feat_05"]
    # Two uniform draws are a third apart on average; what noise there was before is small against that.
    assert found[0].increase == pytest.approx(0.1 - 0.008, abs=0.003)
    assert all(each.increase == each.lower == each.upper == 0 for each in found[2:])
    assert sorted(each.feature for each in found) == list(FEATURES)
    assert (features == before).all()
    assert found == permutation_importance(score, features, actual, seed=7)


def test_permutation_importance_holds_its_true_value_in_95_of_100_intervals():
    large = {each.feature: each.increase for each in permutation_importance(score, *forms(200_000, 2), 1, 2)}
    hits = {"feat_02": 0, "feat_05": 0}
    for seed in range(150):
        for each in permutation_importance(score, *forms(200, 100 + seed), seed, 2)[:2]:
            hits[each.feature] += each.lower <= large[each.feature] <= each.upper
    assert all(0.88 <= count / 150 <= 1 for count in hits.values()), hits


def test_permutation_importance_scores_no_more_rows_than_it_may():
    scored = []

    def counted(features):
        scored.append(len(features))
        return score(features)

    permutation_importance(counted, *forms(10_000, 3), seed=1, repeats=3)
    assert sum(scored) == 10_000 * (46 * 3 + 1) <= 1_500_000
