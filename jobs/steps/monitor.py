"""monitor: facts of tonight's input beside those of the run that was published last."""

from __future__ import annotations

from jobs.edge.context import StepContext, StepResult
from jobs.edge.published import LOST, SINCE, last_published
from jobs.transforms.drift import check_rows, input_facts, moved, row_warning
from speed.contract import FEATURES

_SHOWN = 5


def monitor(context: StepContext) -> StepResult:
    forms = context.own(context.forms_table)
    prepared = context.ledger.succeeded(context.run_id, "prepare")
    published = last_published(context) if context.settings.publish else None
    live, since = (published.rows, published.run_id) if published else (None, "")
    batches = context.tables.batches(forms.table, FEATURES, forms.version)

    # prepare lets no cut dump in; but a merge into a table that was cut before, or by hand, would go on from here.
    check_rows(forms.rows, live, context.settings.max_row_drop)
    lost = row_warning(forms.rows, live, context.settings.warn_row_drop)
    counts = prepared.counts if prepared else {}
    facts = input_facts(batches, counts.get("read", 0), counts.get("rejected", 0))
    changes = moved(facts, context.tables.metrics(since)) if since else []

    return StepResult(
        message=" ".join(filter(None, [lost, _movement(changes, since)])),
        counts={"rows": forms.rows, "moved": len(changes)},
        read=[forms],
        metrics=facts,
        details={SINCE: since, LOST: lost},
    )


def _movement(changes: list[str], since: str) -> str:
    if not changes:
        return ""
    more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return f"Moved since {since}: {'; '.join(changes[:_SHOWN])}{more}"
