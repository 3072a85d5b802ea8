"""The model families that compete every night. To add one: a fit function, and a line in FAMILIES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.model.gate import BASELINE
from speed.contract import FEATURES

Params = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """A kind of model: its name, its parameters, and how it is fitted.

    fit: (rows, params, seed) -> a pipeline that MLlib can save, and that adds `prediction`. The rows hold `label`,
    each feature by its name, and all of them in the vector `features`. The same rows in the same partitions with the
    same seed must give the same model.
    """

    name: str
    params: Params
    fit: Callable[[DataFrame, Params, int], PipelineModel]


def fit_median(rows: DataFrame, _params: Params, _seed: int) -> PipelineModel:
    """The median label for every form: what any model must beat."""
    median = rows.agg(F.median("label")).first()[0]
    return PipelineModel([SQLTransformer(statement=f"SELECT *, {median!r}D AS prediction FROM __THIS__")])


def fit_linear(rows: DataFrame, params: Params, _seed: int) -> PipelineModel:
    """Least squares on log(1 + feature): counts with long tails, made tame."""
    logs = ", ".join(f"log1p({name}) AS log_{name}" for name in FEATURES)
    stages = [
        SQLTransformer(statement=f"SELECT *, {logs} FROM __THIS__"),
        VectorAssembler(inputCols=[f"log_{name}" for name in FEATURES], outputCol="log_features"),
        LinearRegression(featuresCol="log_features", **params),
    ]
    return Pipeline(stages=stages).fit(rows)


def fit_forest(rows: DataFrame, params: Params, seed: int) -> PipelineModel:
    """Bagged trees, each on half of the rows: deeper forests cost minutes and gain little."""
    return Pipeline(stages=[RandomForestRegressor(seed=seed, **params)]).fit(rows)


def fit_boosted(rows: DataFrame, params: Params, seed: int) -> PipelineModel:
    """Boosted trees that follow the absolute error, which is what models are judged by: the usual winner."""
    return Pipeline(stages=[GBTRegressor(seed=seed, **params)]).fit(rows)


FAMILIES: tuple[Family, ...] = (
    Family(BASELINE, {}, fit_median),
    # A trace of ridge: a feature that is constant in the sample must not make the equations singular.
    Family("linear", {"regParam": 1e-6}, fit_linear),
    Family("forest", {"numTrees": 40, "maxDepth": 8, "subsamplingRate": 0.5}, fit_forest),
    Family("gbt", {"lossType": "absolute", "maxIter": 50, "maxDepth": 5, "stepSize": 0.1}, fit_boosted),
)
