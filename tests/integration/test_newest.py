"""Of several rows of a form the newest counts, whatever file it is in: more views, then later, then submissions."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import pytest
from dumps import NewContext, dump, forms, ingest, line, rows

pytestmark = pytest.mark.usefixtures("spark")


def write(folder: Path, name: str, age: int, *lines: str) -> None:
    """A file that was last written `age` seconds before a fixed time."""
    folder.mkdir(exist_ok=True)
    at = 1_700_000_000 - age
    os.utime(dump(folder / name, *lines), (at, at))


@pytest.mark.parametrize("names", permutations(["a.csv", "b.csv", "c.csv"]))
def test_at_as_many_views_the_file_written_last_wins(
    names: tuple[str, ...], new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    oldest, newer, newest = names
    write(tmp_path / "in", oldest, 9, line("x", 3, 10, 1.0), line("more", 1, 11, 1.0))
    write(tmp_path / "in", newer, 5, line("x", 9, 10, 2.0), line("more", 9, 10, 2.0))
    write(tmp_path / "in", newest, 1, line("x", 0, 10, 3.0), line("more", 9, 10, 3.0))

    entry = ingest(new_context, tmp_path / "in")

    assert forms(lake) == {"x": (10, 0, 3.0), "more": (11, 1, 1.0)}
    assert entry.counts["duplicates"] == 4
    superseded = {row["line"] for row in rows(lake, "rejected_forms")}
    assert line("x", 9, 10, 2.0) in superseded and line("more", 9, 10, 3.0) in superseded


def test_in_files_of_one_time_submissions_decide_then_the_smallest_line(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    for run_id, names in (("r1", ("a.csv", "b.csv")), ("r2", ("b.csv", "a.csv"))):
        write(tmp_path / run_id, names[0], 1, line("x", 4, 10, 9.0), line("same", 3, 10, 7.0))
        write(tmp_path / run_id, names[1], 1, line("x", 3, 10, 1.0), line("same", 3, 10, 8.0))

        ingest(new_context, tmp_path / run_id, run_id)

        assert forms(lake) == {"x": (10, 4, 9.0), "same": (10, 3, 7.0)}


def test_at_as_many_views_the_later_run_wins(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    ingest(new_context, dump(tmp_path / "full.csv", line("x", 3, 10, 1.0), line("more", 1, 11, 1.0)))
    write(
        tmp_path, "change.csv", 1_000_000, line("x", 2, 10, 2.0), line("more", 1, 10, 2.0)
    )  # whatever its file says

    entry = ingest(new_context, tmp_path / "change.csv", "r2", mode="increment")

    assert forms(lake) == {"x": (10, 2, 2.0), "more": (11, 1, 1.0)}
    assert (entry.counts["updated"], entry.counts["duplicates"]) == (1, 1)


def test_an_increment_that_began_before_what_is_there_changes_only_what_grew(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    from dataclasses import replace
    from datetime import timedelta

    from jobs.steps.prepare import prepare

    ingest(new_context, dump(tmp_path / "full.csv", line("x", 3, 10, 1.0), line("grows", 1, 10, 1.0)))
    change = dump(tmp_path / "change.csv", line("x", 2, 10, 2.0), line("grows", 1, 11, 2.0))
    context = new_context("prepare", "r2", input=str(change), mode="increment")
    earlier = replace(context, started_at=context.started_at - timedelta(days=1))

    for _ in ("a try", "its retry"):
        result = prepare(earlier)

        assert forms(lake) == {"x": (10, 3, 1.0), "grows": (11, 1, 2.0)}
        assert (result.counts["accepted"], result.counts["duplicates"]) == (1, 1)
        assert [row["line"] for row in rows(lake, "rejected_forms")] == [line("x", 2, 10, 2.0)]
