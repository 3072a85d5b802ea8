"""prepare: the newest dump becomes the table `forms`; what breaks the contract goes to `rejected_forms`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.dump_manifests import stated_rows
from jobs.edge.forms import check_ingested, forget_staged, merge_forms, plan_ingest, reading, replace_forms
from jobs.edge.freshness import check_dump_age, data_until
from jobs.edge.ingest import Ingested, ingest_files
from jobs.edge.inputs import find_inputs
from jobs.edge.published import last_published
from jobs.edge.replayable import MODE
from jobs.errors import UsageError
from jobs.transforms.contract import check_expected
from jobs.transforms.drift import check_rows
from jobs.transforms.dump_manifest import StatedRows, check_lines


def prepare(context: StepContext) -> StepResult:
    stated = stated_rows(context.settings.input)
    files = find_inputs(context.settings)
    until = data_until(context, [file.modified for file in files])
    _check_mode(context, until)
    layouts = tuple(dict.fromkeys(file.layout for file in files))
    plan = plan_ingest(context, layouts, context.settings.mode)

    with reading(context.settings.input):
        ingested = ingest_files(context.spark, files, plan)
    check_ingested(context, plan, ingested, partial(_check_whole, context, ingested, stated))

    details = {MODE: context.settings.mode, "input": context.settings.input}
    if context.settings.mode == "increment":
        merged = merge_forms(context, plan, ingested)
        merged.details.update(details)
        forget_staged(context)
        return merged
    result = replace_forms(context, plan, ingested)
    result.details.update(details)
    result.balances.append(
        Balance("Forms accepted", result.counts["accepted"], "rows of the table forms", result.counts["forms"])
    )
    # A streamed form of later data stays in front of the scores that come of this dump.
    if context.settings.publish:
        result.metrics["data_until", ""] = until.timestamp()
    return result


def _check_mode(context: StepContext, until: datetime) -> None:
    """Raises ContractError if the dump would take what is live back, UsageError if a rehearsal has no whole dump."""
    settings = context.settings
    if not settings.publish and settings.mode == "increment":
        raise UsageError("A rehearsal needs a dump of all forms: run it with mode full, or publish.")
    if settings.publish and settings.mode == "full":
        check_dump_age(context, until)


def _check_whole(context: StepContext, ingested: Ingested, stated: list[StatedRows]) -> None:
    """Raises ContractError if lines are missing, or so many forms that a cut dump would be the base of increments."""
    settings = context.settings
    check_expected(ingested.counts["read"], settings.expected_rows)
    check_lines(stated, ingested.lines)
    if settings.mode == "full" and settings.publish:  # an increment takes no form away
        published = last_published(context)
        check_rows(ingested.counts["accepted"], published.rows if published else None, settings.max_row_drop)
