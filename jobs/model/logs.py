"""What linear predictors are fitted on: log(1 + feature), flags of what is there at all, equal forms pooled."""

from __future__ import annotations

from pyspark.ml import Estimator, PipelineModel, Transformer
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from speed.contract import FEATURES, N_FEATURES

LOGS = "logs"
TRANSFORMS = {N_FEATURES: "log1p", 2 * N_FEATURES: "log1p_flags"}
"""What was done to the features, told from the number of coefficients; the names are those of the export."""


def fit_on_logs(rows: DataFrame, estimator: Estimator, weight: Column, *, flags: bool) -> PipelineModel:
    """A pipeline from the 47 features to `prediction`, its last stage fitted on `weight`ed rows.

    rows: label and the 47 features by name. flags: 94 inputs in place of 47, the logs and then whether each feature
    is over 0. The estimator's loss must be a squared error or an exponential family's likelihood, see `pooled`.
    """
    stages = log_stages(flags)
    assembled = PipelineModel(stages).transform(pooled(rows, weight)).select("label", "weight", LOGS)
    # An iteratively reweighted fit goes over its rows many times.
    assembled.persist()
    try:
        fitted = estimator.copy().setFeaturesCol(LOGS).setWeightCol("weight").fit(assembled)
    finally:
        assembled.unpersist()
    return PipelineModel([*stages, fitted])


def pooled(rows: DataFrame, weight: Column) -> DataFrame:
    """One row for all rows that share their 47 values: the features, `weight` (their sum), `label` (weighted mean).

    These are sufficient statistics of a weighted squared error, and of the likelihood of an exponential family in its
    canonical form: coefficients fitted on them are those of the single rows, but for rounding.
    Source: McCullagh & Nelder 1989, section 2.2.
    """
    weighted = F.sum(weight * F.col("label")) / F.sum(weight)
    return rows.groupBy(*FEATURES).agg(F.sum(weight).cast("double").alias("weight"), weighted.alias("label"))


def log_stages(flags: bool) -> list[Transformer]:
    """Adds the vector `logs` to a frame that holds the features by name."""
    columns = {f"log_{name}": f"log1p({name})" for name in FEATURES}
    if flags:
        columns |= {f"has_{name}": f"double({name} > 0)" for name in FEATURES}
    made = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return [
        SQLTransformer(statement=f"SELECT *, {made} FROM __THIS__"),
        VectorAssembler(inputCols=list(columns), outputCol=LOGS),
    ]
