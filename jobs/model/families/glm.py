"""A binomial GLM: each view is a trial that ends in a submission or not, its log-odds linear in log(1 + feature)."""

from __future__ import annotations

from pyspark.ml.regression import GeneralizedLinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.model.export import Raw, from_linear
from jobs.model.families import Family, Linear, MllibModel, Params, Saved
from jobs.model.logs import fit_on_logs, read_linear


def fit(rows: DataFrame, params: Params, _seed: int) -> MllibModel:
    # On pooled rows a fit takes a quarter less time: see docs/ablation.md.
    estimator = GeneralizedLinearRegression(
        family="binomial", link="logit", regParam=params["regParam"], maxIter=params["maxIter"], tol=params["tol"]
    )
    return MllibModel(fit_on_logs(rows, estimator, weight=F.col("views"), flags=params["flags"], pool=True))


def explain(saved: Saved) -> Linear:
    return read_linear(saved, "logit")


def portable(saved: Saved) -> Raw:
    parts = explain(saved)
    return from_linear(parts.coefficients, parts.intercept, transform=parts.transform, link=parts.link)


FAMILY = Family(
    name="glm",
    # Reweighting settles in 4 or 5 iterations; where forms can be told apart without error it never would.
    params={"regParam": 1e-6, "flags": True, "maxIter": 10, "tol": 1e-6},
    fit=fit,
    portable=portable,
    explain=explain,
    space={"regParam": (1e-6, 1e-4, 1e-3, 1e-2), "flags": (False, True)},
)
