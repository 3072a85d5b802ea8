"""publish: the predictions become a serving generation, which goes live once it is verified."""

from __future__ import annotations

from jobs.edge.context import Balance, StepContext, StepResult


def publish(context: StepContext) -> StepResult:
    predictions = context.tables.version("predictions")
    forms = context.tables.version("forms")
    whole = Balance("Forms", forms.rows, "predictions", predictions.rows)
    whole.check()

    manifest = context.serving.build(predictions.version)
    published = Balance("Predictions", predictions.rows, "published scores", manifest.count)
    published.check()

    items = context.dynamodb.publish(lambda: context.spark, manifest) if context.dynamodb else {}
    context.serving.swap(manifest.generation)
    outdated = context.serving.drop_outdated(manifest)
    pruned = context.serving.prune(context.settings.keep_generations)
    if context.dynamodb:
        outdated += context.dynamodb.tidy(context.serving.generations, manifest)
    return StepResult(
        message=f"Generation {manifest.generation} is live with {manifest.count:,} scores.",
        counts={"published": manifest.count, "pruned": len(pruned), "streamed_dropped": outdated} | items,
        read=[predictions, forms],
        balances=[whole, published],
    )
