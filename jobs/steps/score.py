"""score: the champion predicts every form, and the predictions are swapped in as one."""

from __future__ import annotations

from pyspark.sql import functions as F

from jobs.edge.artifacts import read_portable
from jobs.edge.context import Balance, StepContext, StepResult
from jobs.schemas import PREDICTIONS
from jobs.transforms.predictions import with_predictions
from speed.contract import FEATURES


def score(context: StepContext) -> StepResult:
    """Reads forms and the champion's portable model, writes predictions.

    Raises MissingError without a champion, FormcastError where its files are not those that were trained.
    """
    forms = context.tables.version("forms")
    champion = context.models.champion()
    model = read_portable(context.models.verified_folder(champion))

    frame = context.tables.spark(context.spark, "forms", forms.version)
    scored = with_predictions(frame.select("form_id", "views", "completion_rate", *FEATURES), model)
    predictions = scored.withColumns(
        {
            "model_version": F.lit(champion.version),
            "run_id": F.lit(context.run_id),
            "scored_at": F.lit(context.started_at),
        }
    ).select(*PREDICTIONS.names)

    written = context.tables.replace_from_spark("predictions", predictions, context.run_id)
    return StepResult(
        message=f"{written.rows:,} forms scored by {champion.version}.",
        counts={"scored": written.rows},
        read=[forms],
        wrote=[written],
        balances=[Balance("Forms", forms.rows, "predictions", written.rows)],
    )
