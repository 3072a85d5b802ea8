"""From learnable forms to fitted candidates and what they say about the holdout."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.errors import ContractError
from jobs.model.candidates import Family
from jobs.model.gate import BASELINE
from jobs.model.metrics import evaluate

if TYPE_CHECKING:
    import pyarrow as pa

MIN_TRAIN, MIN_HOLDOUT = 100, 10
# Held-out predictions are judged in the driver's memory: 2 M forms are 200 MB. A larger holdout is sampled.
MAX_HOLDOUT = 2_000_000
_ROWS_A_PARTITION = 250_000

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Survey:
    """What there is to learn from: forms with views on each side, the range of rates, when they came in."""

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
    model: PipelineModel
    seconds: float


def survey(learnable: DataFrame) -> Survey:
    """One pass over forms that have `is_holdout` and `label`. Raises ContractError where nothing can be learned."""
    row = learnable.agg(
        F.count_if(~F.col("is_holdout")).alias("train"),
        F.count_if("is_holdout").alias("holdout"),
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
            f"All {found.train + found.holdout:,} forms with views have the completion rate {found.lowest:.4f}: "
            "there is nothing to learn. Check that views and submissions are the right columns (--columns)."
        )
    return found


def fit_share(train_forms: int, fit_fraction: float, fit_all_below: int) -> float:
    """The share of the training forms that a fit sees: `fit_fraction`, but never under `fit_all_below` forms."""
    return min(1.0, max(fit_fraction, fit_all_below / train_forms))


def fit_partitions(fit_forms: float, cores: int) -> int:
    """One a core, and more where a partition would be too large to be cached whole."""
    return max(cores, round(fit_forms / _ROWS_A_PARTITION))


def fit_candidates(rows: DataFrame, seed: int, families: Iterable[Family]) -> list[Fitted]:
    """Every family fitted on `rows`: label, the features by name, and all of them in the vector `features`."""
    fitted = []
    for family in families:
        start = time.perf_counter()
        model = family.fit(rows, family.params, seed)
        fitted.append(Fitted(family, model, time.perf_counter() - start))
    return fitted


def judge(holdout: pa.Table, names: Iterable[str]) -> Scores:
    """The metrics of each named column of predictions against `completion_rate`."""
    actual, views = holdout["completion_rate"].to_numpy(), holdout["views"].to_numpy()
    return {name: evaluate(actual, holdout[name].to_numpy(), views) for name in names}


def winner(scores: Scores) -> str:
    """The family of the smallest MAE, the baseline aside: that is the yardstick, not a contender."""
    return min((name for name in scores if name != BASELINE), key=lambda name: scores[name]["mae"])


def reason_lost(name: str, scores: Scores) -> str:
    """Why a family that did not win is refused; empty for the winner."""
    best = winner(scores)
    if name == best:
        return ""
    figures = f"holdout MAE {scores[name]['mae']:.5f} against {scores[best]['mae']:.5f}"
    return f"The yardstick, no contender: {figures} of {best}." if name == BASELINE else f"Lost to {best}: {figures}."


def summary(scores: Scores, fit_forms: int, holdout_forms: int) -> str:
    """One sentence on who won, by how much."""
    best = winner(scores)
    mae, yardstick = scores[best]["mae"], scores[BASELINE]["mae"]
    return (
        f"{best} is the best of {len(scores)} families: MAE {mae:.5f} on {holdout_forms:,} held-out forms, against "
        f"{yardstick:.5f} of the baseline ({mae / yardstick - 1:+.1%}); fitted on {fit_forms:,} forms."
    )
