"""publish: the predictions become a serving generation, which goes live once it is verified."""

from __future__ import annotations

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.freshness import REHEARSAL, check_generation_age
from jobs.edge.lineage import history_of, scoring_of
from speed.stores.records import Manifest


def publish(context: StepContext) -> StepResult:
    if not context.settings.publish:
        return StepResult(message=REHEARSAL)
    predictions = context.own("predictions")
    scoring = scoring_of(context.tables, predictions.version)
    forms = context.tables.version("forms", scoring.forms)
    whole = Balance("Forms", forms.rows, "predictions", predictions.rows)
    whole.check()

    manifest = context.serving.build(predictions.version)
    published = Balance("Predictions", predictions.rows, "published scores", manifest.count)
    published.check()

    check_generation_age(context, manifest)

    before, lost = context.serving.answering()
    items = context.dynamodb.publish(lambda: context.spark, manifest) if context.dynamodb else {}
    context.serving.swap(manifest.generation)
    if history_of(context.tables, "predictions").replaced_at(predictions.version) is None:
        # Table and readers have the same scores: to finish a rollback that was cut off would take these away.
        context.serving.end_rollback()
    outdated = _drop_outdated(context, before) if before else 0
    pruned = context.serving.prune(context.settings.keep_generations)
    if context.dynamodb:
        context.dynamodb.keep({kept.generation for kept in context.serving.generations.kept()})
    return StepResult(
        message=f"Generation {manifest.generation} is live with {manifest.count:,} scores. {lost}".rstrip(),
        counts={"published": manifest.count, "pruned": len(pruned), "streamed_dropped": outdated} | items,
        read=[predictions, forms],
        balances=[whole, published],
    )


def _drop_outdated(context: StepContext, before: Manifest) -> int:
    """Delete streamed scores that the generation from which readers answered knew better; how many.

    What the new one knows better, every answer passes over from now on. It stays until the next publish, for a reader
    who has not seen the swap yet.
    """
    dropped = context.serving.drop_outdated(before)
    if context.dynamodb:
        dropped += context.dynamodb.drop_outdated(context.serving.generations, before)
    return dropped
