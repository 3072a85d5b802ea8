"""From ingested files to the tables `forms` and `rejected_forms`: what is refused first, the swap of forms last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.files import LakeFiles
from jobs.edge.ingest import Ingested, task_records, uri_of
from jobs.edge.ingest_plan import INSERTED, OUTCOME_DDL, STAGED, STALE, UPDATED, IngestPlan
from jobs.edge.ingest_tasks import settle_fates
from jobs.edge.inputs import damaged
from jobs.edge.parts import add_action, delete_parts
from jobs.edge.rejected import commit_rejected
from jobs.edge.tables import TableVersion
from jobs.errors import ContractError, FormcastError
from jobs.schemas import FORMS
from jobs.transforms.contract import check_contract, top_reasons
from jobs.transforms.layout import Layout

_DAMAGED = (
    "ZipException",
    "Unexpected end of input stream",
    "not a gzip file",
    "gzip stream",
    "BZip2",
    "invalid block",
)
# Names of decompressors are in the traces of these too.
_UNREADABLE = ("HttpChannelEOFException", "software.amazon.awssdk", "java.net.", "Input/output error")
# The rule of speed/merge.py, for a row that is merged over the table's. A retry puts its own rows there again.
_WINS = """
new.views > old.views or new.views = old.views and (
    new.ingested_at > old.ingested_at or new.ingested_at = old.ingested_at and new.submissions > old.submissions
    or new.run_id = old.run_id
)"""


def plan_ingest(context: StepContext, layouts: tuple[Layout, ...], mode: str) -> IngestPlan:
    """A full ingest writes its files where the tables are, an increment's forms wait in a folder to be merged."""
    files, staging = LakeFiles(context.settings.lake), _staging(context)
    files.delete(staging)  # what an attempt that was killed left
    return IngestPlan(
        run_id=context.run_id,
        started_at=context.started_at,
        forms_folder=files.place(context.forms_table if mode == "full" else staging),
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
    """Say in a sentence what Spark says in a stack trace if a compressed input is damaged, not just out of reach."""
    try:
        yield
    except Exception as error:
        trace = str(error)
        if any(sign in trace for sign in _DAMAGED) and not any(sign in trace for sign in _UNREADABLE):
            raise ContractError(damaged(source)) from error
        raise


def check_ingested(
    context: StepContext, plan: IngestPlan, ingested: Ingested, check_whole: Callable[[], None]
) -> None:
    """Raise where the dump breaks the contract or a row is lost; then nothing that was written stays.

    check_whole: raises FormcastError if the dump is not all that it should be.
    """
    limit, counts = context.settings.max_reject_fraction, ingested.counts
    read = counts["read"] + counts["headers"]
    try:
        Balance("Lines in the files", counts["lines"], "lines read and headers", read).check()
        check_contract(counts, ingested.reasons, ingested.examples, plan.layouts, limit)
        check_whole()
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
    context.tables.commit(context.forms_table, map(add_action, ingested.forms), run_id=plan.run_id)
    return ingest_result(context, ingested, rejected)


def merge_forms(context: StepContext, plan: IngestPlan, ingested: Ingested) -> StepResult:
    """The ingested forms over those of the same id that are no newer, and beside all others, in one commit.

    All that can be wrong with them is looked for before that commit: once it is made, nobody takes it back.
    """
    context.tables.create("forms")
    before = context.tables.version("forms")
    staged = staged_forms(context, plan, ingested)
    present = context.tables.spark(context.spark, "forms", before.version)

    settled = Ingested()
    settled.add(task_records(_with_fate(staged, present).mapInArrow(_settling_fates(plan), OUTCOME_DDL)))
    try:
        _check_fates(staged, ingested.counts["accepted"], settled.counts)
    except FormcastError:
        delete_parts(plan.rejected_folder, ingested.rejected + settled.rejected)
        raise
    moved, inserted, updated = (settled.counts[fate] for fate in (STALE, INSERTED, UPDATED))
    ingested.counts.update({"accepted": -moved, "duplicates": moved})
    ingested.reasons.update(settled.reasons)
    rejected = commit_rejected(context, plan, ingested.rejected + settled.rejected)

    table = DeltaTable.forPath(context.spark, context.tables.path("forms"))
    merge = table.alias("old").merge(staged.select(*FORMS.names).alias("new"), "old.form_id = new.form_id")
    merge.whenMatchedUpdateAll(_WINS).whenNotMatchedInsertAll().execute()

    result = ingest_result(context, ingested, rejected)
    result.counts.update(inserted=inserted, updated=updated)
    return result


def ingest_result(context: StepContext, ingested: Ingested, rejected: TableVersion) -> StepResult:
    forms = context.tables.version(context.forms_table)
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


def staged_forms(context: StepContext, plan: IngestPlan, ingested: Ingested) -> DataFrame:
    """The forms of an increment, waiting to be merged: of the files that tasks report, and of no others.

    A task that is lost after it has closed its file is done again, and leaves a second file of the same forms.
    """
    files = [uri_of(f"{plan.forms_folder}/{record['path']}") for record in ingested.forms]
    if not files:
        return context.spark.createDataFrame([], from_arrow_schema(STAGED))
    return context.spark.read.schema(from_arrow_schema(STAGED)).parquet(*files)


def _with_fate(staged: DataFrame, present: DataFrame) -> DataFrame:
    """(fate, line, source, columns) of staged forms; the line only where it is needed: of those that are stale."""
    fate = F.when(F.col("old.form_id").isNull(), INSERTED).when(F.expr(_WINS), UPDATED).otherwise(STALE)
    joined = staged.alias("new").join(present.alias("old"), F.expr("old.form_id = new.form_id"), "left")
    line = F.when(F.col("fate") == STALE, F.col("line")).alias("line")
    return joined.withColumn("fate", fate).select("fate", line, "source", "columns")


def _settling_fates(plan: IngestPlan) -> Any:
    def settle(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return settle_fates(batches, plan)

    return settle


def _check_fates(staged: DataFrame, accepted: int, fates: Mapping[str, int]) -> None:
    """Raises FormcastError if a form is missing, is there twice, or meets two rows of the table."""
    rows, ids = staged.agg(F.count("form_id"), F.countDistinct("form_id")).first()
    Balance("Forms accepted", accepted, "forms that wait to be merged", rows).check()
    Balance("Forms that wait to be merged", rows, "their different ids", ids).check()
    met = fates.get(INSERTED, 0) + fates.get(UPDATED, 0) + fates.get(STALE, 0)
    if met != rows:
        raise FormcastError(
            f"The table forms holds some of these forms more than once ({met - rows:,} rows too many), so nothing "
            "can be merged into it: ingest the newest dump of all forms in mode full."
        )
