"""publish: the predictions become a serving generation, which goes live once it is verified."""

from __future__ import annotations

from jobs.edge.context import Balance, StepContext, StepResult


def publish(context: StepContext) -> StepResult:
    predictions = context.tables.version("predictions")
    forms = context.tables.version("forms")

    manifest = context.serving.build(predictions.version)
    balances = [
        Balance("Forms", forms.rows, "predictions", predictions.rows),
        Balance("Predictions", predictions.rows, "published scores", manifest.count),
    ]
    for balance in balances:
        balance.check()

    context.serving.swap(manifest.generation)
    pruned = context.serving.prune(context.settings.keep_generations)
    return StepResult(
        message=f"Generation {manifest.generation} is live with {manifest.count:,} scores.",
        counts={"published": manifest.count, "pruned": len(pruned)},
        read=[predictions],
        balances=balances,
    )
