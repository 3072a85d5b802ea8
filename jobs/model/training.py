"""From learnable forms to fitted candidates and what they say about the holdout."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.errors import ContractError
from jobs.model.calibration import fit_calibration
from jobs.model.families import Family, Native, Params
from jobs.model.gate import BASELINE
from jobs.model.losses import LOSS_NAMES, Objective, losses
from jobs.model.metrics import evaluate

if TYPE_CHECKING:
    import pyarrow as pa

MIN_TRAIN, MIN_HOLDOUT = 100, 10
# Held-out predictions are judged in the driver's memory: 2 M forms are 200 MB. A larger holdout is sampled.
MAX_HOLDOUT = 2_000_000
PARITY_ROWS = 10_000
_ROWS_A_PARTITION = 250_000

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Survey:
    """What there is to learn from: forms with views on each side, the range of rates, when they came in."""

    forms: int
    train: int
    holdout: int
    lowest: float
    highest: float
    first_ingested_at: datetime
    last_ingested_at: datetime


@dataclass(frozen=True)
class Fitted:
    """A candidate after its fit."""

    family: Family
    params: Params
    native: Native
    seconds: float


def survey(learnable: DataFrame) -> Survey:
    """One pass over forms that have `side` and `label`. Raises ContractError where nothing can be learned."""
    row = learnable.agg(
        F.count("*").alias("forms"),
        F.count_if(F.col("side") == "train").alias("train"),
        F.count_if(F.col("side") == "holdout").alias("holdout"),
        F.min("label").alias("lowest"),
        F.max("label").alias("highest"),
        F.min("ingested_at").alias("first_ingested_at"),
        F.max("ingested_at").alias("last_ingested_at"),
    ).first()
    # Spark hands times over without a zone, in that of the machine; and nulls where there are no rows at all.
    times = {name: row[name] and row[name].astimezone(UTC) for name in ("first_ingested_at", "last_ingested_at")}
    found = Survey(**(row.asDict() | times))
    if found.train < MIN_TRAIN or found.holdout < MIN_HOLDOUT:
        raise ContractError(
            f"Too few forms with views to train on: {found.train:,} to learn from and {found.holdout:,} held out, "
            f"where {MIN_TRAIN} and {MIN_HOLDOUT} are the least. Ingest more forms."
        )
    if found.lowest == found.highest:
        raise ContractError(
            f"All {found.forms:,} forms with views have the completion rate {found.lowest:.4f}: "
            "there is nothing to learn. Check that views and submissions are the right columns (--columns)."
        )
    return found


def fit_share(train_forms: int, fit_fraction: float, fit_all_below: int) -> float:
    """The share of the training forms that a fit sees: `fit_fraction`, but never under `fit_all_below` forms."""
    return min(1.0, max(fit_fraction, fit_all_below / train_forms))


def fit_partitions(fit_forms: float, cores: int) -> int:
    """One a core, and more where a partition would be too large to be cached whole."""
    return max(cores, round(fit_forms / _ROWS_A_PARTITION))


def fit_candidates(
    rows: DataFrame, seed: int, families: Iterable[Family], params: Mapping[str, Params]
) -> list[Fitted]:
    """Every family fitted on `rows`, with its parameters of `params`.

    rows: form_id, views, label, the features by name, and all of them in the vector `features`.
    """
    fitted = []
    for family in families:
        start = time.perf_counter()
        native = family.fit(rows, params[family.name], seed)
        fitted.append(Fitted(family, params[family.name], native, time.perf_counter() - start))
    return fitted


def calibrated_loss(predicted: DataFrame, objective: Objective) -> float:
    """The mean loss of raw predictions once they are calibrated: each half of the forms by the map of the other.

    predicted: form_id, views, label, prediction. Families are compared in the same way, and none is judged raw.
    """
    table = predicted.select("form_id", "views", "label", "prediction").toArrow().sort_by("form_id")
    raw, actual, views = (table[name].to_numpy().astype(float) for name in ("prediction", "label", "views"))
    rates, even = np.empty(len(raw)), np.arange(len(raw)) % 2 == 0
    for half in (even, ~even):
        rates[half] = fit_calibration(raw[~half], actual[~half], views[~half], objective).apply(raw[half])
    return float(losses(objective, actual, rates, views).mean())


def holdout_scores(holdout: pa.Table, names: Iterable[str]) -> Scores:
    """The metrics of each named column of rates against `completion_rate`."""
    actual, views = holdout["completion_rate"].to_numpy(), holdout["views"].to_numpy()
    return {name: evaluate(actual, holdout[name].to_numpy(), views) for name in names}


def reason_lost(name: str, best: str, scores: Scores, loss: Mapping[str, float], objective: Objective) -> str:
    """Why a family that was not chosen is refused; empty for the best. loss: by which it was chosen."""
    if name == best:
        return ""
    if name == BASELINE:
        figures = f"holdout MAE {scores[name]['mae']:.5f} against {scores[best]['mae']:.5f}"
        return f"The yardstick, no contender: {figures} of {best}."
    figures = f"{LOSS_NAMES[objective]} {loss[name]:.5f} against {loss[best]:.5f}"
    return f"Lost to {best}: {figures} on the forms that choose."


def summary(best: str, scores: Scores, fit_forms: int, holdout_forms: int) -> str:
    """One sentence on who won, by how much."""
    mae, yardstick = scores[best]["mae"], scores[BASELINE]["mae"]
    return (
        f"{best} is the best of {len(scores)} families: MAE {mae:.5f} on {holdout_forms:,} held-out forms, against "
        f"{yardstick:.5f} of the baseline ({mae / yardstick - 1:+.1%}); fitted on {fit_forms:,} forms."
    )
