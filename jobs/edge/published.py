"""What was published last: the measure of the next input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.edge.ledger import SUCCEEDED

if TYPE_CHECKING:
    from jobs.edge.context import StepContext
    from jobs.edge.ledger import Entry

SINCE, LOST = "since", "lost_forms"
"""In the details of a monitor's entry: the run that it compared with, and the sentence about forms that are gone."""


@dataclass(frozen=True)
class Published:
    """rows: forms that are live. run_id: the newest run, up to the live one, with facts of its input; "" for none."""

    rows: int
    run_id: str


def last_published(context: StepContext) -> Published | None:
    """What other runs have published, or rolled back to, last; None if they have published nothing.

    A run that publishes nothing, such as a rehearsal, is no measure: else the loss of night after night would pass as
    small each time.
    """
    others = [e for e in context.ledger.entries() if e.run_id != context.run_id and e.status == SUCCEEDED]
    order = [entry.run_id for entry in others if entry.step == "publish" and "published" in entry.counts]
    live = context.serving.live()
    if live is None or live.run_id == context.run_id:  # lost or damaged; or a step of this run is done again
        rows = _rows_in_ledger(others)
    else:
        rows = live.count
        order = _up_to(live.run_id, order)
    if rows is None:
        return None
    monitored = {entry.run_id for entry in others if entry.step == "monitor"}
    return Published(rows, next((run_id for run_id in reversed(order) if run_id in monitored), ""))


def _rows_in_ledger(entries: list[Entry]) -> int | None:
    count_of = {"publish": "published", "rollback": "predictions"}
    went_live = [entry.counts.get(count_of[entry.step]) for entry in entries if entry.step in count_of]
    return next((rows for rows in reversed(went_live) if rows is not None), None)


def _up_to(run_id: str, order: list[str]) -> list[str]:
    """Runs in the order of their publishes, without those after the last one of `run_id`."""
    if run_id not in order:
        return [*order, run_id]
    return order[: len(order) - order[::-1].index(run_id)]
