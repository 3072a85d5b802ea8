"""replay: refused lines are ingested again, as an increment, after the contract or the columns were mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.forms import balance_of, forget_staged, merge_forms, plan_ingest
from jobs.edge.ingest import ingest, with_id_hash
from jobs.edge.rejected import mark_replayed
from jobs.edge.replayable import Waiting, lines_waiting
from jobs.transforms.layout import Layout, said_columns


def replay(context: StepContext, reason: str = "") -> StepResult:
    """Lines accepted now are merged into forms, then marked as replayed; those still refused stay as they are.

    Run twice, the second finds nothing to do; cut off in between, the merge of the same rows changes nothing.
    """
    waiting = lines_waiting(context, reason)
    if not waiting.lines:
        message = " ".join(["There is nothing to replay.", *waiting.left_out])
        return StepResult(message=message, counts={"read": 0, "accepted": 0})
    said = said_columns(context.settings.columns, "auto")
    layouts = tuple(_layout(columns.split(","), said) for columns in waiting.lines)

    plan = replace(plan_ingest(context, layouts, "increment"), replays=True)
    ingested = ingest(_lines(context, waiting, layouts), plan)
    Balance("Lines to replay", sum(waiting.lines.values()), "lines read", ingested.counts["read"]).check()
    balance_of(ingested).check()

    result = merge_forms(context, plan, ingested)
    mark_replayed(context.tables, plan, ingested.forms, waiting)
    forget_staged(context)
    still = result.counts["rejected"]
    sentences = [
        f"{result.counts['accepted']:,} lines replayed into forms, {still:,} refused again.",
        *waiting.left_out,
        f"Publish their predictions by `formcast step score --run-id {context.run_id}`, then `formcast step publish "
        f"--run-id {context.run_id}`: a dump that is ingested anew would take their place.",
    ]
    return replace(result, message=" ".join(sentences))


def _lines(context: StepContext, waiting: Waiting, layouts: Sequence[Layout]) -> DataFrame:
    """The waiting lines, for `ingest`; those of the same columns have one layout."""
    lines = context.tables.spark(context.spark, "rejected_forms", waiting.version).where(waiting.condition)
    named = lines.select(
        "columns",
        F.col("line").alias("value"),
        F.col("source_file").alias("source"),
        F.col("rejected_at").alias("written_at"),
    )
    frames = [
        with_id_hash(named.where(F.col("columns") == columns), layout, index)
        for index, (columns, layout) in enumerate(zip(waiting.lines, layouts, strict=True))
    ]
    return reduce(lambda one, other: one.unionAll(other), frames)


def _layout(columns: list[str], said: tuple[str, ...] | None) -> Layout:
    """Of lines that were refused: what is said of the columns now goes for those of the same layout."""
    return Layout(said if said and len(said) == len(columns) else tuple(columns))
