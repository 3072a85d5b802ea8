"""From ingested files to the tables `forms` and `rejected_forms`: what is refused first, the swap of forms last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.files import LakeFiles
from jobs.edge.ingest import OUTCOME_DDL, Ingested, task_records
from jobs.edge.ingest_tasks import STAGED, IngestPlan, reject_stale
from jobs.edge.inputs import damaged
from jobs.edge.parts import add_action, delete_parts
from jobs.edge.tables import TableVersion
from jobs.errors import ContractError, FormcastError
from jobs.schemas import FORMS
from jobs.transforms.contract import check_contract, top_reasons
from jobs.transforms.layout import Layout

_DAMAGED = (
    "EOFException",
    "ZipException",
    "Unexpected end of input stream",
    "not a gzip file",
    "BZip2",
    "invalid block",
)


def plan_ingest(context: StepContext, layouts: tuple[Layout, ...], mode: str) -> IngestPlan:
    """A full ingest writes its files where the tables are, an increment's forms wait in a folder to be merged."""
    files, staging = LakeFiles(context.settings.lake), _staging(context)
    files.delete(staging)  # what an attempt that was killed left
    return IngestPlan(
        run_id=context.run_id,
        started_at=context.started_at,
        forms_folder=files.place("forms" if mode == "full" else staging),
        rejected_folder=files.place("rejected_forms"),
        layouts=layouts,
        keep_lines=mode == "increment",
    )


def forget_staged(context: StepContext) -> None:
    """Delete the forms of an increment once they are merged."""
    LakeFiles(context.settings.lake).delete(_staging(context))


def _staging(context: StepContext) -> str:
    return f"_staging/{context.run_id}-{context.step}"


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Say in a sentence what Spark says in a stack trace when a compressed input is damaged."""
    try:
        yield
    except Exception as error:
        if any(sign in str(error) for sign in _DAMAGED):
            raise ContractError(damaged(source)) from error
        raise


def check_ingested(context: StepContext, plan: IngestPlan, ingested: Ingested) -> None:
    """Raise where the dump breaks the contract or a row is lost; then nothing that was written stays."""
    limit = context.settings.max_reject_fraction
    try:
        check_contract(ingested.counts, ingested.reasons, ingested.examples, plan.layouts, limit)
        balance_of(ingested).check()
    except FormcastError:
        delete_parts(plan.forms_folder, ingested.forms)
        delete_parts(plan.rejected_folder, ingested.rejected)
        raise


def balance_of(ingested: Ingested) -> Balance:
    counts = ingested.counts
    parts = counts["accepted"] + counts["rejected"] + counts["duplicates"]
    return Balance("Lines read", counts["read"], "accepted + rejected + duplicates", parts)


def replace_forms(context: StepContext, plan: IngestPlan, ingested: Ingested) -> StepResult:
    """The ingested forms in place of all that were there, in one commit."""
    rejected = commit_rejected(context, plan, ingested.rejected)
    context.tables.commit("forms", map(add_action, ingested.forms), run_id=plan.run_id)
    return ingest_result(context, ingested, rejected)


def merge_forms(context: StepContext, plan: IngestPlan, ingested: Ingested) -> StepResult:
    """The ingested forms over those of the same id that have no more views, and beside all others, in one commit."""
    context.tables.create("forms")
    before = context.tables.version("forms")
    staged = _staged(context, plan)
    present = context.tables.spark(context.spark, "forms", before.version)

    stale = _stale(staged, present)
    records = task_records(stale.mapInArrow(lambda batches: reject_stale(batches, plan), OUTCOME_DDL))
    superseded = Ingested()
    superseded.add(records)
    moved = superseded.counts["duplicates"]
    ingested.counts.update({"accepted": -moved, "duplicates": moved})
    ingested.reasons.update(superseded.reasons)
    rejected = commit_rejected(context, plan, ingested.rejected + superseded.rejected)

    table = DeltaTable.forPath(context.spark, context.tables.path("forms"))
    merge = table.alias("old").merge(staged.select(*FORMS.names).alias("new"), "old.form_id = new.form_id")
    done = merge.whenMatchedUpdateAll("new.views >= old.views").whenNotMatchedInsertAll().execute().first()
    inserted, updated = int(done["num_inserted_rows"]), int(done["num_updated_rows"])

    result = ingest_result(context, ingested, rejected)
    result.counts.update(inserted=inserted, updated=updated)
    result.balances.extend(
        [
            Balance("Forms accepted", result.counts["accepted"], "inserted + updated", inserted + updated),
            Balance("Forms after", result.counts["forms"], "before + inserted", before.rows + inserted),
        ]
    )
    return result


def mark_replayed(context: StepContext, plan: IngestPlan) -> None:
    """Say of refused lines, now in forms or superseded there, which run replayed them."""
    staged = _staged(context, plan).selectExpr("cast(line as string) line", "source")
    rejected = DeltaTable.forPath(context.spark, context.tables.path("rejected_forms"))
    superseded = (
        rejected.toDF().where(F.col("run_id") == plan.run_id).select("line", F.col("source_file").alias("source"))
    )
    now_in = staged.unionAll(superseded).distinct().alias("new")
    same = "old.line = new.line and old.source_file = new.source and old.replayed_by is null"
    (
        rejected.alias("old")
        .merge(now_in, f"{same} and old.run_id <> '{plan.run_id}'")
        .whenMatchedUpdate(set={"replayed_by": F.lit(plan.run_id)})
        .execute()
    )


def commit_rejected(context: StepContext, plan: IngestPlan, records: list[dict[str, Any]]) -> TableVersion:
    """The run's refused lines, in place of those that an earlier attempt of the same run left."""
    files = [add_action(record, {"run_id": plan.run_id}) for record in records]
    context.tables.commit("rejected_forms", files, run_id=plan.run_id, partition=plan.run_id)
    return context.tables.version("rejected_forms")


def ingest_result(context: StepContext, ingested: Ingested, rejected: TableVersion) -> StepResult:
    forms = context.tables.version("forms")
    counts = {name: ingested.counts[name] for name in ("read", "accepted", "rejected", "duplicates")}
    lost = dict(ingested.reasons)
    lost.pop("superseded_duplicate", None)
    return StepResult(
        message=f"{counts['accepted']:,} forms accepted of {counts['read']:,} lines"
        + (f"; refused: {top_reasons(lost)}" if lost else ""),
        counts=counts | {"forms": forms.rows},
        wrote=[rejected, forms],
        metrics={("rejected", reason): float(count) for reason, count in ingested.reasons.items()},
    )


def _staged(context: StepContext, plan: IngestPlan) -> DataFrame:
    """The forms of an increment, waiting to be merged; none where no line was accepted."""
    reader = context.spark.read.schema(from_arrow_schema(STAGED))
    if not LakeFiles(context.settings.lake).has(_staging(context)):
        return context.spark.createDataFrame([], from_arrow_schema(STAGED))
    return reader.parquet(plan.forms_folder)


def _stale(staged: DataFrame, present: DataFrame) -> DataFrame:
    """(line, source, columns) of staged forms whose stored row has more views."""
    older = staged.alias("new").join(present.alias("old"), "form_id").where("new.views < old.views")
    return older.select("line", "source", "columns")
