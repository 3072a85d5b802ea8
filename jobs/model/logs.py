"""Linear predictors of log(1 + feature) and of flags of what is there: fitted by MLlib, read back without it."""

from __future__ import annotations

import json

import numpy as np
from pyspark.ml import Estimator, PipelineModel, Transformer
from pyspark.ml.feature import SQLTransformer, VectorAssembler, VectorSlicer
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.model.families import MLLIB, Linear, Link, Saved, Transform
from speed.contract import FEATURES, N_FEATURES

_LOGS, _VARYING = "logs", "varying"


def fit_on_logs(
    rows: DataFrame, estimator: Estimator, *, weight: Column, flags: bool, pool: bool = False
) -> PipelineModel:
    """A pipeline from the 47 features to `prediction`, its last stage fitted on weighted rows.

    rows: label and the 47 features by name. flags: 94 inputs in place of 47, the logs and then whether each feature
    is over 0. pool: fit on `pooled` rows. Inputs that are the same in all rows are left out: reweighted least squares
    cannot be solved with them, as MLlib's ridge is in units of an input's own variance.
    """
    stages = [*_log_stages(flags), VectorSlicer(inputCol=_LOGS, outputCol=_VARYING, indices=_varying(rows, flags))]
    weighted = pooled(rows, weight) if pool else rows.withColumn("weight", weight)
    assembled = PipelineModel(stages).transform(weighted).select("label", "weight", _VARYING)
    # A reweighted fit goes over its rows many times.
    assembled.persist()
    try:
        fitted = estimator.copy().setFeaturesCol(_VARYING).setWeightCol("weight").fit(assembled)
    finally:
        assembled.unpersist()
    return PipelineModel([*stages, fitted])


def read_linear(saved: Saved, link: Link) -> Linear:
    """The predictor that `fit_on_logs` gave, with coefficients of 0 for what was left out."""
    (file,) = (saved.folder / MLLIB / "stages").glob("*_VectorSlicer_*/metadata/part-00000*")
    kept = np.array(json.loads(file.read_bytes())["paramMap"]["indices"])
    found, intercept = saved.linear()
    transform: Transform = "log1p" if kept.max() < N_FEATURES else "log1p_flags"
    coefficients = np.zeros(N_FEATURES if transform == "log1p" else 2 * N_FEATURES)
    coefficients[kept] = found
    return Linear(coefficients, intercept, transform, link)


def pooled(rows: DataFrame, weight: Column) -> DataFrame:
    """One row for all rows that share their 47 values: the features, `weight` (their sum), `label` (weighted mean).

    These are sufficient statistics of the likelihood of an exponential family: coefficients fitted on them are those
    of the single rows, but for rounding. (MLlib's least squares are not: their ridge is in units of the labels' own
    deviation, which pooling lowers.) Source: McCullagh & Nelder 1989, section 2.2.
    """
    weighted = F.sum(weight * F.col("label")) / F.sum(weight)
    return rows.groupBy(*FEATURES).agg(F.sum(weight).cast("double").alias("weight"), weighted.alias("label"))


def _varying(rows: DataFrame, flags: bool) -> list[int]:
    """Positions among the inputs of those that vary; the first one where none does, as there must be one."""
    ends = [end(name) for name in FEATURES for end in (F.min, F.max)]
    found = np.array(rows.agg(*ends).first(), dtype=np.float64).reshape(N_FEATURES, 2)
    lowest, highest = found.T
    varies = [lowest < highest] + [(lowest <= 0) & (highest > 0)] * flags
    return [int(at) for at in np.flatnonzero(np.concatenate(varies))] or [0]


def _log_stages(flags: bool) -> list[Transformer]:
    """Adds the vector `logs` to a frame that holds the features by name."""
    columns = {f"log_{name}": f"log1p({name})" for name in FEATURES}
    if flags:
        columns |= {f"has_{name}": f"double({name} > 0)" for name in FEATURES}
    made = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return [
        SQLTransformer(statement=f"SELECT *, {made} FROM __THIS__"),
        VectorAssembler(inputCols=list(columns), outputCol=_LOGS),
    ]
