"""An increment goes into `forms` whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from dumps import NewContext, dump, ingest, line, rows

from jobs.edge import forms as forms_module
from jobs.edge.tables import Tables
from jobs.errors import FormcastError

pytestmark = pytest.mark.usefixtures("spark")


def test_an_increment_that_is_not_whole_is_refused_before_it_is_merged(
    new_context: NewContext, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(new_context, dump(tmp_path / "full.csv", line("old", 1, 10), "hopeless"), max_reject_fraction=1)
    before = [Tables(lake).version(table) for table in ("forms", "rejected_forms")]
    staged = forms_module.staged_forms
    monkeypatch.setattr(forms_module, "staged_forms", lambda *args: staged(*args).unionAll(staged(*args)))

    with pytest.raises(FormcastError, match="rows were lost or doubled"):
        ingest(new_context, dump(tmp_path / "change.csv", line("new", 0, 0)), "r2", mode="increment")

    assert [Tables(lake).version(table) for table in ("forms", "rejected_forms")] == before


def test_a_table_that_holds_a_form_twice_takes_no_increment(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    ingest(new_context, dump(tmp_path / "full.csv", line("old", 1, 10), line("other", 1, 10)))
    tables = Tables(lake)
    tables.append("forms", [row for row in rows(lake, "forms") if row["form_id"] == "old"])
    before = tables.version("forms")

    with pytest.raises(FormcastError, match=r"more than once \(1 rows too many\).* in mode full"):
        ingest(new_context, dump(tmp_path / "change.csv", line("old", 2, 20)), "r2", mode="increment")
    assert tables.version("forms") == before
