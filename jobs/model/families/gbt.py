"""Boosted trees that follow the absolute error, which is what models are judged by: the usual winner."""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.regression import GBTRegressor
from pyspark.sql import DataFrame

from jobs.model.export import Raw, from_trees
from jobs.model.families import Family, MllibModel, Params, Saved
from jobs.model.trees import Trees


def fit(rows: DataFrame, params: Params, seed: int) -> MllibModel:
    return MllibModel(Pipeline(stages=[GBTRegressor(seed=seed, **params)]).fit(rows))


def portable(saved: Saved) -> Raw:
    return from_trees(saved.trees())


def explain(saved: Saved) -> Trees:
    return saved.trees()


FAMILY = Family(
    name="gbt",
    params={"lossType": "absolute", "maxIter": 50, "maxDepth": 5, "stepSize": 0.1},
    fit=fit,
    portable=portable,
    explain=explain,
    grows="maxIter",
    space={
        "maxIter": (30, 50, 80, 120),
        "maxDepth": (4, 5, 6, 7),
        "stepSize": (0.05, 0.1, 0.15, 0.2),
        "subsamplingRate": (0.5, 0.75, 1.0),
        "minInstancesPerNode": (1, 20, 100),
        "maxBins": (32, 64, 128),
    },
)
