"""rollback: predictions, serving and champion go back to those of an earlier run, together or not at all."""

from __future__ import annotations

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.lineage import model_of, predictions_of_run, score_of_run
from jobs.errors import MissingError


def rollback(context: StepContext, to: str) -> StepResult:
    """A rollback that was cut off is finished by running it again: the intent file keeps watch until then.

    Raises MissingError, and changes nothing, if the run's predictions, their forms or their model are gone.
    """
    serving, tables = context.serving, context.tables
    version = predictions_of_run(tables, to)
    _check_model(context, to)
    before, champion = tables.version("predictions"), context.models.champion()
    dynamodb, published = context.dynamodb, context.dynamodb.current() if context.dynamodb else None

    target = serving.build(version)  # a generation that was pruned is built anew from the table's history
    unfinished = serving.unfinished_rollback()
    serving.begin_rollback(to)
    try:
        _restore(context, version)
        if champion.version != target.model_version:
            context.models.promote(target.model_version, f"Rolled back to run {to}.")
        # The last, and each atomic: readers move only when all else has.
        if dynamodb:
            dynamodb.publish(lambda: context.spark, target)
        serving.swap(target.generation)
    except Exception:
        _restore(context, before.version)
        if champion.version != context.models.champion().version:
            context.models.promote(champion.version, champion.reason)
        if dynamodb and published:
            dynamodb.point(published)
        if unfinished is None:
            serving.end_rollback()
        else:  # this left everything as the one before it had: cut off
            serving.begin_rollback(unfinished.run_id)
        raise
    serving.end_rollback()

    restored = tables.version("predictions")
    return StepResult(
        message=f"Back to run {to}: {restored.rows:,} predictions of {target.model_version} are live.",
        counts={"predictions": restored.rows},
        wrote=[restored],
        balances=[Balance("Predictions", restored.rows, "published scores", target.count)],
    )


def _restore(context: StepContext, version: int) -> None:
    """Make the rows of `version` those of `predictions`. Delta restores no table to the version that it has."""
    table = context.tables.delta("predictions")
    if table.version() != version:
        table.restore(version)
        # Properties come back with the rows, and those of a table of before 0.2 keep too little.
        context.tables.keep_history("predictions", context.settings.retention_days)


def _check_model(context: StepContext, run_id: str) -> None:
    """Raises MissingError if the files of the model that scored a run are gone: the next night would want them."""
    model = model_of(context.tables, score_of_run(context.tables, run_id))
    if model is not None and not context.models.has_files(model):
        raise MissingError(
            f"There is no way back to run {run_id}: the files of its model {model} are gone from "
            f"{context.models.uri(model)}. Choose a later run."
        )
