"""The best family under the magnifying glass: noise, slices, certainty, importances, and parity with its library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from jobs.model.contest import Contest
from jobs.model.evaluation import Evaluation, evaluate_all
from jobs.model.importance import permutation_importance
from jobs.model.parity import check_parity
from jobs.model.slices import Judged, slices_by_feature
from speed.contract import FEATURES
from speed.scorer import Scorer

if TYPE_CHECKING:
    import pyarrow as pa

SLICED_FEATURES = 5
SHUFFLES = 3
"""Times that a feature is shuffled: with 10,000 forms, 1.4 million rates are computed, in about two seconds."""


def examine(contest: Contest, portable: bytes, sample: pa.Table, tolerance: float, seed: int) -> Evaluation:
    """Judge the best family of a contest.

    portable: its model as it would go live. sample: held-out forms with views, completion_rate, the 47 features, and
    `prediction`, the raw one of the library that fitted it. tolerance: of the parity.
    """
    scorer = Scorer(portable)
    features = np.column_stack([sample[name].to_numpy() for name in FEATURES])
    views, actual = sample["views"].to_numpy().astype(np.float64), sample["completion_rate"].to_numpy()
    parity = check_parity(
        scorer,
        features,
        views,
        sample["prediction"].to_numpy(),
        contest.calibrations[contest.best],
        contest.interval,
        tolerance,
    )
    importance = permutation_importance(lambda rows: scorer.score(rows).rate, features, actual, seed, SHUFFLES)
    evaluation = _on_holdout(contest, seed)
    scored = scorer.score(features, views)
    judged = Judged(views, actual, scored.rate, scored.lower, scored.upper)
    slices = evaluation.slices
    for found in importance[:SLICED_FEATURES]:
        slices = slices + slices_by_feature(judged, found.feature, features[:, FEATURES.index(found.feature)])
    return msgspec.structs.replace(evaluation, slices=slices, importance=importance, parity=parity)


def _on_holdout(contest: Contest, seed: int) -> Evaluation:
    columns = {name: contest.holdout[name].to_numpy() for name in contest.holdout.column_names if name != "form_id"}
    actual, views = columns.pop("completion_rate"), columns.pop("views").astype(np.float64)
    rates = {name: columns.pop(name) for name in contest.calibrations}
    bounds = contest.interval.bounds(rates[contest.best], views)
    judged = Judged(views, actual, rates[contest.best], *bounds)
    return evaluate_all(judged, rates, contest.best, contest.interval.coverage, rivals=columns, seed=seed)
