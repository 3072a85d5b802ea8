"""What tests of the ingest share: lines of a dump, a step as the runner runs it, and what a table holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.edge.context import StepContext
from jobs.edge.ledger import Entry
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.steps.prepare import prepare
from speed.contract import N_FEATURES

NewContext = Callable[..., StepContext]
ZEROS = "-".join(["0.0"] * (N_FEATURES - 1))


def line(form_id: object, submissions: int, views: int, last: float = 1.0) -> str:
    """A packed line; `last` is its last feature."""
    return f"{form_id},{submissions},{views},{ZEROS}-{last}"


def ingest(new: NewContext, path: Path | str, run_id: str = "r1", **settings: Any) -> Entry:
    """prepare of a dump, as the runner runs it."""
    context = new("prepare", run_id, input=str(path), **settings)
    return run_step(prepare, "prepare", run_id, context.settings)


def rows(lake: str, table: str, *without: str) -> list[dict[str, Any]]:
    """A table whole, in an order of its own, less the columns that no two runs share."""
    data = Tables(lake).delta(table).to_pyarrow_table().to_pylist()
    kept = [{name: value for name, value in row.items() if name not in without} for row in data]
    return sorted(kept, key=lambda row: (row.get("form_id") or "", row.get("line") or "", str(row)))


def forms(lake: str) -> dict[str, tuple[int, int, float]]:
    """(views, submissions, last feature) of each form. Fails if a form is there twice."""
    found = rows(lake, "forms")
    by_id = {row["form_id"]: (row["views"], row["submissions"], row["feat_47"]) for row in found}
    assert len(by_id) == len(found), "a form is there twice"
    return by_id


def orphans(lake: str, table: str) -> set[str]:
    """Parquet files in a table's folder that are no part of it, by name."""
    there = {path.name for path in Path(lake, table).rglob("part-*.parquet")}
    return there - {Path(uri).name for uri in Tables(lake).delta(table).file_uris()}


def dump(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{each}\n" for each in lines))
    return path
