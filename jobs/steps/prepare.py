"""prepare: the newest dump becomes the table `forms`; what breaks the contract goes to `rejected_forms`."""

from __future__ import annotations

from functools import reduce

from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.forms import check_ingested, forget_staged, merge_forms, plan_ingest, reading, replace_forms
from jobs.edge.ingest import ingest, lines_of_files
from jobs.edge.inputs import find_inputs


def prepare(context: StepContext) -> StepResult:
    files = find_inputs(context.settings)
    layouts = tuple(dict.fromkeys(file.layout for file in files))
    plan = plan_ingest(context, layouts, context.settings.mode)
    frames = [
        lines_of_files(context.spark, [file.path for file in files if file.layout == layout], layout, index)
        for index, layout in enumerate(layouts)
    ]

    with reading(context.settings.input):
        ingested = ingest(reduce(lambda one, other: one.unionAll(other), frames), plan)
    check_ingested(context, plan, ingested)

    if context.settings.mode == "increment":
        merged = merge_forms(context, plan, ingested)
        forget_staged(context)
        return merged
    result = replace_forms(context, plan, ingested)
    result.balances.append(
        Balance("Forms accepted", result.counts["accepted"], "rows of the table forms", result.counts["forms"])
    )
    # A streamed form of later data stays in front of the scores that come of this dump.
    until = context.settings.data_until or min(file.modified for file in files)
    result.metrics["data_until", ""] = min(until, context.started_at).timestamp()
    return result
