"""What forms are made of, by the ledger: the last full ingest and the increments after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs.edge.ledger import FAILED, SUCCEEDED, Entry
from jobs.edge.replayable import MODE, base_of

START = datetime(2026, 11, 1, 2, tzinfo=UTC)
UNTIL = START - timedelta(hours=1)


def entry(
    run_id: str, mode: str = "", *, step: str = "prepare", status: str = SUCCEEDED, wrote: str = "forms"
) -> Entry:
    """mode: "" as entries of earlier versions have none."""
    details = {MODE: mode} if mode else {}
    written = {wrote: 1}
    facts = {"code_version": "", "engine": "local", "versions_written": written, "details": details}
    return Entry(run_id, step, status, START, START, **facts)  # type: ignore[arg-type]


def test_base_is_the_last_full_ingest_and_the_increments_after_it() -> None:
    entries = [
        entry("i0", "increment"),
        entry("f1", "full"),
        entry("i1", "increment"),
        entry("f2", "full"),
        entry("p", step="replay"),
        entry("i2", "increment"),
        entry("i3", "increment", status=FAILED),
        entry("rehearsal", "full", wrote="rehearsed_forms"),
        entry("f3", "full", status=FAILED),
        entry("i2", "increment"),  # cleared, and done again
    ]

    base = base_of(entries, {"f1": UNTIL, "f2": UNTIL, "rehearsal": START})

    assert base is not None
    assert (base.runs, base.data_until) == (("f2", "i2"), UNTIL)


def test_a_full_ingest_that_is_done_again_takes_the_place_of_increments_between() -> None:
    base = base_of([entry("f1", "full"), entry("i1", "increment"), entry("f1", "full")], {})
    assert base is not None
    assert (base.runs, base.data_until) == (("f1",), START)  # it began when it began, if nothing else is known


def test_entries_without_a_mode_are_full_if_their_run_says_until_when_it_knew() -> None:
    base = base_of([entry("f1"), entry("i1"), entry("f2"), entry("i2")], {"f1": UNTIL, "f2": UNTIL})
    assert base is not None and base.runs == ("f2", "i2")
    assert base_of([entry("i1"), entry("i2")], {}) is None
    assert base_of([], {}) is None
