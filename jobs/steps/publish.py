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

    context.serving.swap(manifest.generation)
    outdated = context.serving.drop_outdated(manifest)
    pruned = context.serving.prune(context.settings.keep_generations)
    return StepResult(
        message=f"Generation {manifest.generation} is live with {manifest.count:,} scores.",
        counts={"published": manifest.count, "pruned": len(pruned), "streamed_dropped": outdated},
        read=[predictions, forms],
        balances=[whole, published],
    )
