"""Least squares on log(1 + feature), counts with long tails made tame, and on flags of what a form has at all."""

from __future__ import annotations

from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.model.export import Raw, from_linear
from jobs.model.families import Family, Linear, MllibModel, Params, Saved
from jobs.model.logs import fit_on_logs, read_linear


def fit(rows: DataFrame, params: Params, _seed: int) -> MllibModel:
    estimator = LinearRegression(regParam=params["regParam"])
    return MllibModel(fit_on_logs(rows, estimator, weight=F.lit(1.0), flags=params["flags"]))


def explain(saved: Saved) -> Linear:
    return read_linear(saved, "identity")


def portable(saved: Saved) -> Raw:
    parts = explain(saved)
    return from_linear(parts.coefficients, parts.intercept, transform=parts.transform, link=parts.link)


FAMILY = Family(
    name="linear",
    # A trace of ridge: a feature that is constant in the sample must not make the equations singular.
    params={"regParam": 1e-6, "flags": True},
    fit=fit,
    portable=portable,
    explain=explain,
    space={"regParam": (1e-6, 1e-4, 1e-3, 1e-2), "flags": (False, True)},
)
