"""The table `rejected_forms`: a run's refused lines go in together, and are marked once they are replayed."""

from __future__ import annotations

from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.edge.context import StepContext
from jobs.edge.ingest_plan import IngestPlan
from jobs.edge.parts import add_action
from jobs.edge.tables import TableVersion


def commit_rejected(context: StepContext, plan: IngestPlan, records: list[dict[str, Any]]) -> TableVersion:
    """The run's refused lines, in place of those that an earlier attempt of the same run left."""
    files = [add_action(record, {"run_id": plan.run_id}) for record in records]
    context.tables.commit("rejected_forms", files, run_id=plan.run_id, partition=plan.run_id)
    return context.tables.version("rejected_forms")


def mark_replayed(context: StepContext, plan: IngestPlan, staged: DataFrame, waiting: str) -> None:
    """Say of refused lines, now in forms or superseded there, which run replayed them.

    waiting: the lines that were replayed, as SQL; the same line of another run is another line.
    """
    accepted = staged.selectExpr("cast(line as string) line", "source")
    rejected = DeltaTable.forPath(context.spark, context.tables.path("rejected_forms"))
    superseded = (
        rejected.toDF().where(F.col("run_id") == plan.run_id).select("line", F.col("source_file").alias("source"))
    )
    now_in = accepted.unionAll(superseded).distinct().alias("new")
    same = f"old.line = new.line and old.source_file = new.source and {waiting}"
    (rejected.alias("old").merge(now_in, same).whenMatchedUpdate(set={"replayed_by": F.lit(plan.run_id)}).execute())
