"""replay: refused lines are ingested again, as an increment, after the contract or the columns were mended."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from pyspark.sql import functions as F

from jobs.edge.context import StepContext, StepResult
from jobs.edge.forms import balance_of, forget_staged, merge_forms, plan_ingest, staged_forms
from jobs.edge.ingest import ingest, with_id_hash
from jobs.edge.rejected import mark_replayed
from jobs.transforms.layout import EVENT_COLUMNS, Layout, said_columns


def replay(context: StepContext, reason: str = "") -> StepResult:
    """Lines accepted now are merged into forms, then marked as replayed; those still refused stay as they are.

    Run twice, the second finds nothing to do; cut off in between, the merge of the same rows changes nothing.
    """
    settings, tables = context.settings, context.tables
    waiting = "replayed_by is null and not array_has(reasons, 'superseded_duplicate')"
    waiting += f" and columns <> '{','.join(EVENT_COLUMNS)}'"
    if reason:
        waiting += f" and array_has(reasons, '{reason.replace(chr(39), chr(39) * 2)}')"
    kinds = tables.query(f"select distinct columns from rejected_forms where {waiting}", "rejected_forms")
    if not kinds:
        return StepResult(message="There is nothing to replay.", counts={"read": 0, "accepted": 0})
    layouts = tuple(_layout(kind["columns"].split(","), said_columns(settings.columns, "auto")) for kind in kinds)

    rejected = tables.spark(context.spark, "rejected_forms")
    lines = rejected.where(waiting.replace("array_has", "array_contains"))
    frames = [
        with_id_hash(
            lines.where(F.col("columns") == kind["columns"]).select(
                F.col("line").alias("value"),
                F.col("source_file").alias("source"),
                F.col("rejected_at").alias("written_at"),
            ),
            layout,
            index,
        )
        for index, (kind, layout) in enumerate(zip(kinds, layouts, strict=True))
    ]
    plan = replace(plan_ingest(context, layouts, "increment"), replays=True)
    ingested = ingest(reduce(lambda one, other: one.unionAll(other), frames), plan)
    balance_of(ingested).check()

    result = merge_forms(context, plan, ingested)
    mark_replayed(context, plan, staged_forms(context, plan, ingested))
    forget_staged(context)
    still = result.counts["rejected"]
    return replace(
        result,
        message=f"{result.counts['accepted']:,} lines replayed into forms, {still:,} refused again. "
        f"Publish their predictions by `formcast step score --run-id {context.run_id}`, then `formcast step publish "
        f"--run-id {context.run_id}`: a dump that is ingested anew would take their place.",
    )


def _layout(columns: list[str], said: tuple[str, ...] | None) -> Layout:
    """Of lines that were refused: what is said of the columns now goes for those of the same layout."""
    return Layout(said if said and len(said) == len(columns) else tuple(columns))
