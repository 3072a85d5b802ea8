"""rollback: predictions, serving and champion go back to those of an earlier run, together or not at all."""

from __future__ import annotations

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.ledger import SUCCEEDED
from jobs.errors import MissingError


def rollback(context: StepContext, to: str) -> StepResult:
    """A rollback that was cut off is finished by running it again: the intent file keeps watch until then."""
    serving, tables = context.serving, context.tables
    version = _predictions_of(context, to)
    before, champion = tables.version("predictions"), context.models.champion()
    dynamodb, published = context.dynamodb, context.dynamodb.current() if context.dynamodb else None

    target = serving.build(version)  # a generation that was pruned is built anew from the table's history
    serving.begin_rollback(to)
    try:
        tables.delta("predictions").restore(version)
        if champion.version != target.model_version:
            context.models.promote(target.model_version, f"Rolled back to run {to}.")
        # The last, and each atomic: readers move only when all else has.
        if dynamodb:
            dynamodb.publish(lambda: context.spark, target)
        serving.swap(target.generation)
    except Exception:
        tables.delta("predictions").restore(before.version)
        if champion.version != context.models.champion().version:
            context.models.promote(champion.version, champion.reason)
        if dynamodb and published:
            dynamodb.point(published)
        serving.end_rollback()
        raise
    serving.end_rollback()

    restored = tables.version("predictions")
    return StepResult(
        message=f"Back to run {to}: {restored.rows:,} predictions of {target.model_version} are live.",
        counts={"predictions": restored.rows},
        wrote=[restored],
        balances=[Balance("Predictions", restored.rows, "published scores", target.count)],
    )


def _predictions_of(context: StepContext, run_id: str) -> int:
    """The version of `predictions` that a run wrote. Raises MissingError where it wrote none that is still there."""
    scored = [e for e in context.ledger.entries(run_id) if e.step == "score" and e.status == SUCCEEDED]
    if not scored:
        raise MissingError(f"Run {run_id!r} has no predictions to go back to: `formcast runs` lists those that do.")
    version = scored[-1].versions_written["predictions"]
    kept = {entry["version"] for entry in context.tables.delta("predictions").history()}
    if version not in kept:
        raise MissingError(
            f"The predictions of run {run_id!r} are older than the table's history: choose a later run."
        )
    return version
