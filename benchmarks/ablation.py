"""What each treatment of the features is worth: `python -m benchmarks.ablation --lake lake` writes docs/ablation.md.

Fitted on a sample of the training side, calibrated on the calibration side, judged on the conformal side: the
holdout, which judges models, has no say in how they are made.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import (
    GBTRegressor,
    GeneralizedLinearRegression,
    LinearRegression,
    RandomForestRegressor,
)
from pyspark.sql import functions as F

from benchmarks.ablation_page import Result, write_page
from jobs.edge.session import start_spark
from jobs.edge.tables import Tables
from jobs.model.calibration import fit_calibration
from jobs.model.families import families
from jobs.model.logs import pooled
from jobs.model.losses import losses
from jobs.model.paired import paired_bootstrap
from jobs.settings import Settings
from jobs.transforms.label import learnable, with_label
from jobs.transforms.split import repeatable, sampled, with_side
from speed.contract import FEATURES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RAW, LOG, FLAGS = "raw", "log1p", "log1p + flags"


@dataclass(frozen=True)
class Variant:
    """A family with one treatment. prior: forms weigh views / (views + prior); None: as the family does it."""

    family: str
    features: str = LOG
    prior: int | None = None
    pooled: bool = False

    @property
    def name(self) -> str:
        weight = "" if self.prior is None else f", weight v / (v + {self.prior})"
        return self.features + weight + (", pooled" if self.pooled else "")


VARIANTS = (
    *(Variant("linear", features) for features in (LOG, RAW, FLAGS)),
    *(Variant("linear", FLAGS, prior) for prior in (10, 100)),
    Variant("linear", FLAGS, pooled=True),
    *(Variant("glm", features) for features in (LOG, RAW, FLAGS)),
    Variant("glm", FLAGS, pooled=True),
    *(Variant("forest", features) for features in (RAW, LOG, FLAGS)),
    *(Variant("forest", RAW, prior) for prior in (10, 100)),
    *(Variant("gbt", features) for features in (RAW, LOG, FLAGS)),
    *(Variant("gbt", RAW, prior) for prior in (10, 100)),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("--lake", default="lake", help="where the table `forms` is")
    parser.add_argument("--rows", type=int, default=200_000, help="forms that a fit sees")
    parser.add_argument("--page", type=Path, default=Path("docs/ablation.md"), help="what is written")
    asked = parser.parse_args()
    settings = Settings(lake=asked.lake)
    spark = start_spark(settings, "ablation")
    forms = with_side(with_label(learnable(Tables(asked.lake).spark(spark, "forms"))))
    columns = ("form_id", "side", "views", "label", "completion_rate", *FEATURES)
    train = forms.where("side = 'train'")
    share = asked.rows / train.count()
    rows = repeatable(sampled(train, share).select(*columns), spark.sparkContext.defaultParallelism).persist()
    unseen = forms.where("side in ('calibration', 'conformal')").select(*columns).persist()
    unique = rows.select(*FEATURES).distinct().count()
    counts = {"asked": asked.rows, "fit": rows.count(), "unseen": unseen.count(), "unique": unique}
    errors: dict[str, np.ndarray] = {}
    results = []
    for variant in VARIANTS:
        result, error = measure(variant, rows, unseen, settings.seed)
        base = errors.setdefault(variant.family, error)
        interval = paired_bootstrap(error, base, settings.seed) if error is not base else None
        results.append(Result(variant.family, variant.name, *result, interval))
        print(results[-1], flush=True)
    write_page(asked.page, results, counts)


def measure(
    variant: Variant, rows: DataFrame, unseen: DataFrame, seed: int
) -> tuple[tuple[float, float, float, float], np.ndarray]:
    """(MAE before and after calibration, deviance after it, seconds of the fit), and each form's absolute error."""
    start = time.perf_counter()
    model = _fit(variant, rows, seed)
    seconds = time.perf_counter() - start
    scored = model.transform(unseen.withColumn("x", _vector(variant.features)))
    table = scored.select("form_id", "side", "views", "completion_rate", "prediction").toArrow().sort_by("form_id")
    raw, actual, views = (
        table[name].to_numpy().astype(np.float64) for name in ("prediction", "completion_rate", "views")
    )
    fitting = np.array(table["side"].to_pylist()) == "calibration"
    calibration = fit_calibration(raw[fitting], actual[fitting], views[fitting], "mae")
    raw, actual, views = raw[~fitting], actual[~fitting], views[~fitting]
    rate = calibration.apply(raw)
    error = np.abs(rate - actual)
    plain = float(np.abs(np.clip(raw, 0, 1) - actual).mean())
    # A GLM predicts means: its deviance is judged before medians are made of them.
    deviance = float(losses("deviance", actual, np.clip(raw, 0, 1), views).mean())
    return (plain, float(error.mean()), deviance, seconds), error


def _fit(variant: Variant, rows: DataFrame, seed: int) -> Any:
    estimator = _ESTIMATORS[variant.family](seed).setFeaturesCol("x").setWeightCol("weight")
    weight = F.col("views").cast("double") if variant.family == "glm" else F.lit(1.0)
    if variant.prior is not None:
        # In steps of 1/8: sums stay exact, see jobs.transforms.label.
        weight = F.ceil(8 * F.col("views") / (F.col("views") + variant.prior)) / 8
    weighted = pooled(rows, weight) if variant.pooled else rows.withColumn("weight", weight)
    frame = weighted.select("label", "weight", _vector(variant.features).alias("x")).persist()
    try:
        return estimator.fit(frame)
    finally:
        frame.unpersist()


def _vector(features: str) -> Column:
    columns = [F.col(name) if features == RAW else F.log1p(name) for name in FEATURES]
    if features == FLAGS:
        columns += [(F.col(name) > 0).cast("double") for name in FEATURES]
    return array_to_vector(F.array(*columns))


def _defaults(name: str) -> dict[str, Any]:
    return next(family.params for family in families() if family.name == name)


_ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "linear": lambda _seed: LinearRegression(regParam=1e-6),
    "glm": lambda _seed: GeneralizedLinearRegression(family="binomial", link="logit", regParam=1e-6, maxIter=10),
    "forest": lambda seed: RandomForestRegressor(seed=seed, **_defaults("forest")),
    "gbt": lambda seed: GBTRegressor(seed=seed, **_defaults("gbt")),
}


if __name__ == "__main__":
    main()
