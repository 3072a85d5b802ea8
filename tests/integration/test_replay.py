"""A replay brings nothing back that is gone, and puts nothing older over what is newer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dumps import NewContext, dump, forms, ingest, line, rows

from jobs.edge.ledger import Entry
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.steps.replay import replay
from jobs.transforms.layout import PACKED_COLUMNS

pytestmark = pytest.mark.usefixtures("spark")
REFUSED = "form_id,views,submissions,features"
"""The columns under which lines with more submissions than views are accepted."""


def swapped(form_id: str, views: int, last: float = 1.0) -> str:
    """A line that an ingest refuses, and a replay with the columns REFUSED accepts with so many views."""
    return line(form_id, views, 0, last)


def full(new: NewContext, folder: Path, run_id: str, *lines: str, mode: str = "full") -> Entry:
    return ingest(new, dump(folder / f"{run_id}.csv", *lines), run_id, mode=mode, max_reject_fraction=1.0)


def again(new: NewContext, run_id: str) -> Entry:
    return run_step(replay, "replay", run_id, new("replay", run_id, columns=REFUSED).settings)


def good(*form_ids: str) -> list[str]:
    """Enough of lines that are accepted, so that columns do not look swapped."""
    return [line(form_id, 1, 5) for form_id in (*form_ids, "k", "l", "m")]


def test_a_form_that_a_later_dump_does_not_have_stays_gone(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    full(new_context, tmp_path, "r1", *good(), swapped("gone", 9))
    full(new_context, tmp_path, "r2", *good(), swapped("here", 9))
    full(new_context, tmp_path, "i2", *good(), swapped("new", 9), mode="increment")

    first, second = again(new_context, "p1"), again(new_context, "p2")

    assert forms(lake).keys() == {"k", "l", "m", "here", "new"}
    assert (first.counts["read"], first.counts["accepted"], second.counts["read"]) == (2, 2, 0)
    assert {row["line"].split(",")[0]: row["replayed_by"] for row in rows(lake, "rejected_forms")} == {
        "gone": None, "here": "p1", "new": "p1"
    }  # fmt: skip
    for entry in (first, second):
        assert "1 are left out that are neither of the last full ingest (run r2)" in entry.message


def test_the_same_line_of_an_earlier_run_is_not_marked(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    path = tmp_path / "dump 100%25.csv"  # a name that must not be taken for a URI
    for run_id in ("r1", "r2"):
        ingest(new_context, dump(path, *good(), swapped("x", 9), swapped("x", 8)), run_id, max_reject_fraction=1.0)

    assert again(new_context, "p1").counts["accepted"] == 1

    found = [(row["run_id"], row["replayed_by"]) for row in rows(lake, "rejected_forms") if row["run_id"] != "p1"]
    assert sorted(found) == sorted([("r1", None)] * 2 + [("r2", "p1")] * 2)
    assert {row["source_file"] for row in rows(lake, "rejected_forms")} == {str(path)}
    assert again(new_context, "p2").counts["read"] == 0


def test_a_replayed_line_gives_way_to_what_a_later_run_ingested(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    refused = [swapped(form_id, views, 1.0) for form_id, views in (("older", 5), ("more", 9), ("own", 5))]
    full(new_context, tmp_path, "r1", *good("own"), *refused)
    later = [line(form_id, 1, 5, 2.0) for form_id in ("older", "more")]
    full(new_context, tmp_path, "i1", *later, mode="increment")

    entry = again(new_context, "p1")

    expected = {"older": (5, 1, 2.0), "more": (9, 0, 1.0), "own": (5, 1, 1.0)}
    assert {name: forms(lake)[name] for name in expected} == expected
    assert (entry.counts["accepted"], entry.counts["duplicates"]) == (1, 2)


def test_a_replayed_line_is_of_the_run_that_refused_it(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    full(new_context, tmp_path, "r1", *good(), swapped("x", 5, 1.0))
    again(new_context, "p1")
    refused_at = {row["run_id"]: row["rejected_at"] for row in rows(lake, "rejected_forms")}
    ingested_at = {row["form_id"]: row["ingested_at"] for row in rows(lake, "forms")}
    assert ingested_at["x"] == refused_at["r1"]

    full(new_context, tmp_path, "i1", swapped("x", 5, 2.0), line("k", 1, 5), line("l", 1, 5), mode="increment")
    again(new_context, "p2")
    assert forms(lake)["x"] == (5, 0, 2.0)


def test_lines_that_are_not_utf8_are_left_out(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    path = tmp_path / "latin1.csv"
    path.write_bytes("\n".join([*good(), line("caf\xe9", 1, 5), swapped("x", 9)]).encode("latin-1"))
    ingest(new_context, path, max_reject_fraction=1.0)

    first, second = again(new_context, "p1"), again(new_context, "p2")

    assert forms(lake).keys() == {"k", "l", "m", "x"}
    for entry in (first, second):
        assert "1 that are not UTF-8 are left out" in entry.message and "ingest it again" in entry.message
    assert second.message.startswith("There is nothing to replay.")


def test_events_count_if_they_came_after_what_the_last_dump_knows(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    until = datetime(2026, 11, 1, tzinfo=UTC)
    path = dump(tmp_path / "dump.csv", *good())
    ingest(new_context, path, data_until=until)
    Tables(lake).append(
        "rejected_forms",
        [
            {"line": swapped(form_id, 9), "reasons": ["submissions_exceed_views"], "source_file": "stream s"}
            | {"columns": ",".join(PACKED_COLUMNS), "run_id": "stream-s", "rejected_at": at, "replayed_by": None}
            for form_id, at in (("before", until - timedelta(hours=1)), ("after", until + timedelta(hours=1)))
        ],
    )

    entry = again(new_context, "p1")

    assert forms(lake).keys() == {"k", "l", "m", "after"}
    assert entry.counts["accepted"] == 1
    assert {row["line"][:5]: row["replayed_by"] for row in rows(lake, "rejected_forms")} == {
        "befor": None,
        "after": "p1",
    }
