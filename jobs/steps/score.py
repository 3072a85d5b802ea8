"""score: the champion predicts every form, and the predictions are swapped in as one."""

from __future__ import annotations

from pyspark.sql import functions as F

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.mllib import load_mllib
from jobs.schemas import PREDICTIONS
from jobs.transforms.predictions import with_predictions


def score(context: StepContext) -> StepResult:
    forms = context.tables.version("forms")
    champion = context.models.champion()
    model = load_mllib(context.spark, context.models.verified_folder(champion))

    frame = context.tables.spark(context.spark, "forms", forms.version)
    predictions = with_predictions(frame, model).select(
        "form_id",
        "predicted_rate",
        F.lit(None).cast("double").alias("lower"),
        F.lit(None).cast("double").alias("upper"),
        "completion_rate",
        "views",
        F.lit(champion.version).alias("model_version"),
        F.lit(context.run_id).alias("run_id"),
        F.lit(context.started_at).alias("scored_at"),
    )

    written = context.tables.replace_from_spark("predictions", predictions.select(*PREDICTIONS.names), context.run_id)
    return StepResult(
        message=f"{written.rows:,} forms scored by {champion.version}.",
        counts={"scored": written.rows},
        read=[forms],
        wrote=[written],
        balances=[Balance("Forms", forms.rows, "predictions", written.rows)],
    )
