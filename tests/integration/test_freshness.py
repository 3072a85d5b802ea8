"""What is live never gets older by accident: by a backfill, by a run that comes back late, by a cleared task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.edge.freshness import check_dump_age, data_until
from jobs.errors import ContractError
from jobs.runner import run_step
from jobs.steps.prepare import prepare
from jobs.steps.publish import publish
from jobs.steps.score import score
from tests.nights import NewContext, live, night, scored

NOVEMBER, MARCH = (datetime(2026, month, 1, 1, 30, tzinfo=UTC) for month in (11, 3))


def live_since_november(new: NewContext) -> None:
    row = {"run_id": "r1", "name": "data_until", "slice": "", "value": NOVEMBER.timestamp(), "at": MARCH}
    new("prepare").tables.append("metrics", [row])
    night(new, "r1")


def test_prepare_refuses_a_dump_older_than_what_is_live(new_context: NewContext, tmp_path: Path) -> None:
    live_since_november(new_context)
    dump = tmp_path / "march.csv"
    dump.write_text("\n".join(f"{at},1,5," + "-".join(["1.0"] * 47) for at in range(5)))
    context = new_context("prepare", "march", input=str(dump), data_until=MARCH)
    before = context.tables.version("forms")
    with pytest.raises(ContractError, match=r"up to 2026-03-01 01:30 UTC, and r1-v\d+, which is live, up to 2026-11"):
        run_step(prepare, "prepare", "march", context.settings)
    assert context.tables.version("forms") == before
    assert context.tables.version("rejected_forms").rows == 0  # of the page about the failure, which looks there


def test_the_same_dump_and_a_newer_one_are_taken_and_an_older_one_on_demand(new_context: NewContext) -> None:
    live_since_november(new_context)
    check_dump_age(new_context("prepare"), NOVEMBER)
    check_dump_age(new_context("prepare"), NOVEMBER + timedelta(days=1))
    check_dump_age(new_context("prepare", allow_older=True), MARCH)


def test_a_dump_of_a_day_knows_nothing_later_whenever_it_was_copied(new_context: NewContext) -> None:
    copied = datetime(2026, 11, 20, tzinfo=UTC)
    context = new_context("prepare", as_of=MARCH)
    assert data_until(context, [copied, copied + timedelta(hours=1)]) == MARCH
    assert data_until(new_context("prepare"), [copied + timedelta(hours=1), copied]) == copied
    assert data_until(new_context("prepare", data_until=MARCH), [copied]) == MARCH


def test_a_run_that_comes_back_late_takes_nothing_live_back(new_context: NewContext, lake: str) -> None:
    scored(new_context, "late")
    night(new_context, "r2")
    before = live(lake)
    for name, step in (("score", score), ("publish", publish)):
        settings = new_context(name, redo=1).settings
        with pytest.raises(ContractError, match=r"is older than version \d+, whose scores are live as r2-v"):
            run_step(step, name, "late", settings)
    assert live(lake) == before
    run_step(publish, "publish", "late", new_context("publish", allow_older=True).settings)
    assert live(lake) != before


def test_a_publish_that_is_done_again_is_no_older_than_itself(new_context: NewContext, lake: str) -> None:
    night(new_context, "r1")
    before = live(lake)
    run_step(publish, "publish", "r1", new_context("publish", redo=1).settings)
    assert live(lake) == before
