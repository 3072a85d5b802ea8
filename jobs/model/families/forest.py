"""Bagged trees, each on half of the rows: deeper forests cost minutes and gain little."""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import DataFrame

from jobs.model.export import Raw, from_trees
from jobs.model.families import Family, MllibModel, Params, Saved
from jobs.model.trees import Trees


def fit(rows: DataFrame, params: Params, seed: int) -> MllibModel:
    # A row's place in each tree is kept from level to level: the same trees in a quarter less of processor time.
    # (Boosting, whose trees grow one after the other, gets slower by it.)
    forest = RandomForestRegressor(seed=seed, cacheNodeIds=True, **params)
    return MllibModel(Pipeline(stages=[forest]).fit(rows))


def portable(saved: Saved) -> Raw:
    return from_trees(saved.trees())


def explain(saved: Saved) -> Trees:
    return saved.trees()


FAMILY = Family(
    name="forest",
    params={"numTrees": 40, "maxDepth": 8, "subsamplingRate": 0.5},
    fit=fit,
    portable=portable,
    explain=explain,
    grows="numTrees",
    space={
        "numTrees": (20, 40, 80, 120),
        "maxDepth": (6, 8, 10, 12),
        "subsamplingRate": (0.25, 0.5, 0.75),
        "featureSubsetStrategy": ("onethird", "0.5", "all"),
        "minInstancesPerNode": (1, 10, 50),
    },
)
