"""XGBoost through its own Spark estimator: boosted trees whose leaves are medians. An extra, `formcast[xgboost]`.

XGBoost compares features and adds up leaves in float32. The portable model rounds features to float32 as well, so
that it takes the same leaves, and adds up in float64: the two differ by the rounding of XGBoost's own sum, at most
(trees + 1) * 2^-24 * (|base| + the sum of the largest |leaf| of each tree).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from jobs.model.export import Raw, from_trees
from jobs.model.families import Family, Params, Saved
from jobs.model.trees import Trees

if TYPE_CHECKING:
    from xgboost.spark import SparkXGBRegressorModel

_NAME, _FILE = "xgboost", "model.json"


@dataclass(frozen=True)
class XgboostModel:
    """A model of XGBoost's Spark estimator. Saved in XGBoost's own JSON, which needs no Spark to be read."""

    model: SparkXGBRegressorModel

    def transform(self, frame: DataFrame) -> DataFrame:
        return self.model.transform(frame)

    def save(self, folder: Path, _shared: str, /) -> None:
        (folder / _NAME).mkdir(exist_ok=True)
        (folder / _NAME / _FILE).write_bytes(self.model.get_booster().save_raw("json"))


def fit(rows: DataFrame, params: Params, seed: int) -> XgboostModel:
    from xgboost.spark import SparkXGBRegressor  # noqa: PLC0415  (an extra: installed only where it is asked for)

    # All workers must run at once, and a worker that is no core would wait for ever.
    workers = min(rows.rdd.getNumPartitions(), rows.sparkSession.sparkContext.defaultParallelism)
    estimator = SparkXGBRegressor(
        features_col="features", label_col="label", num_workers=workers, seed=seed, verbosity=0, **params
    )
    return XgboostModel(estimator.fit(rows.select("features", "label")))


def read_trees(content: bytes) -> Trees:
    """The trees of a model in XGBoost's JSON (versions 2 and 3), one output, numeric splits.

    An inner node's value is the mean of its leaves by cover: what XGBoost keeps there is from before the leaves of
    an absolute error were moved to medians. Source: XGBoost's model schema (doc/model.schema).
    """
    learner = json.loads(content)["learner"]
    grown = learner["gradient_booster"]["model"]["trees"]
    base = json.loads(learner["learner_model_param"]["base_score"].strip("[]"))
    sizes = np.array([len(tree["left_children"]) for tree in grown], dtype=np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    parts = [_nodes(tree, int(root)) for tree, root in zip(grown, roots, strict=True)]
    joined: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Trees(roots=roots, weights=np.ones(len(roots)), base=float(base), strict=True, float32=True, **joined)


def _nodes(tree: dict[str, Any], root: int) -> dict[str, NDArray[Any]]:
    """A tree's node arrays, its first node at position `root`."""
    left, right = (np.array(tree[name], dtype=np.int64) for name in ("left_children", "right_children"))
    leaf = left < 0
    # Written as decimals of float32: read as such, they are the numbers that XGBoost compares with and adds up.
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    cover = np.array(tree["sum_hessian"], dtype=np.float64)
    value = np.where(leaf, conditions, 0.0)
    for node in range(len(left) - 1, -1, -1):  # children come after their parents
        if not leaf[node]:
            ends = [left[node], right[node]]
            value[node] = np.average(value[ends], weights=cover[ends])
    return {
        "feature": np.where(leaf, -1, np.array(tree["split_indices"], dtype=np.int64)),
        "threshold": np.where(leaf, 0.0, conditions),
        "left": np.where(leaf, -1, left + root),
        "right": np.where(leaf, -1, right + root),
        "value": value,
        "cover": cover,
    }


def explain(saved: Saved) -> Trees:
    return read_trees((saved.folder / _NAME / _FILE).read_bytes())


def portable(saved: Saved) -> Raw:
    return from_trees(explain(saved))


FAMILY = Family(
    name=_NAME,
    params={"objective": "reg:absoluteerror", "n_estimators": 200, "max_depth": 6, "learning_rate": 0.1},
    fit=fit,
    portable=portable,
    explain=explain,
    extra="xgboost",
    # Raw predictions differ by less than 1e-6; calibration and intervals have slopes of up to ten.
    tolerance=1e-5,
    grows="n_estimators",
    space={
        "n_estimators": (100, 200, 400, 800),
        "max_depth": (4, 6, 8, 10),
        "learning_rate": (0.03, 0.05, 0.1, 0.2),
        "min_child_weight": (1, 10, 50),
        "subsample": (0.5, 0.75, 1.0),
        "colsample_bytree": (0.5, 0.75, 1.0),
    },
)
