"""monitor: facts of tonight's input beside those of the last run; a cut dump stops here."""

from __future__ import annotations

from jobs.edge.context import StepContext, StepResult
from jobs.edge.ledger import SUCCEEDED
from jobs.transforms.drift import check_rows, input_facts, moved
from speed.contract import FEATURES

_SHOWN = 5


def monitor(context: StepContext) -> StepResult:
    forms = context.own("forms")
    entries = context.ledger.entries()
    prepared = [e for e in entries if e.run_id == context.run_id and e.step == "prepare" and e.status == SUCCEEDED]
    earlier = [e for e in entries if e.run_id != context.run_id and e.step == "monitor" and e.status == SUCCEEDED]
    batches = context.tables.batches("forms", FEATURES, forms.version)

    counts = prepared[-1].counts if prepared else {}
    check_rows(forms.rows, earlier[-1].counts["rows"] if earlier else None, context.settings.max_row_drop)
    facts = input_facts(batches, counts.get("read", 0), counts.get("rejected", 0))
    changes = moved(facts, context.tables.metrics(earlier[-1].run_id)) if earlier else []

    return StepResult(
        message=_warning(changes, earlier[-1].run_id) if changes else "",
        counts={"rows": forms.rows, "moved": len(changes)},
        read=[forms],
        metrics=facts,
    )


def _warning(changes: list[str], before: str) -> str:
    more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return f"Moved since {before}: {'; '.join(changes[:_SHOWN])}{more}"
