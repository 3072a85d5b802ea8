"""Nights whose predictions are exported: a real table, a ledger and a live generation, without Spark or a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from jobs.edge.ledger import SUCCEEDED, Entry, Ledger
from jobs.edge.tables import Tables
from jobs.schemas import PREDICTIONS
from speed.generations import CURRENT, MANIFEST, Generations
from speed.stores.records import Manifest

NOW = datetime(2026, 11, 20, 2, 0, 0, 123456, tzinfo=UTC)
ODD_IDS = ["ä", "Z" * 256, "10", "9", "\\N", "\\.", "NULL", "%s{0}", "👍", "a;b", "--"]
ODD_RATES = [0.0, 1.0, 0.1 + 0.2, 1 / 3, 5e-324, 1 - 2**-53, 0.1]


def predictions(run_id: str, count: int, scored_at: datetime) -> pa.Table:
    """So many rows: ids and rates that formats trip over first, then random ones."""
    random = np.random.default_rng(len(run_id) + count)
    ids = ODD_IDS + [f"f{at}" for at in range(count - len(ODD_IDS))]
    rates = np.concatenate([ODD_RATES, random.random(count - len(ODD_RATES))])
    seen = random.integers(0, 4, count) > 0
    views = np.where(seen, random.integers(1, 10**18, count), 0)
    columns: dict[str, Any] = {"form_id": ids, "predicted_rate": rates}
    for name in ("lower", "upper", "completion_rate"):
        columns[name] = pa.array(random.random(count), mask=~seen)
    made = {"model_version": f"m-{run_id}", "run_id": run_id, "scored_at": scored_at}
    constants = {
        name: pa.repeat(pa.scalar(value, PREDICTIONS.field(name).type), count) for name, value in made.items()
    }
    return pa.table(columns | {"views": views} | constants).select(PREDICTIONS.names).cast(PREDICTIONS)


def night(lake: str, run_id: str, count: int = 1_000, *, live: bool = True) -> int:
    """A run's predictions, in the lake and live; answers the table's version."""
    tables = Tables(lake)
    tables.create("predictions")
    at = NOW + timedelta(days=tables.version("predictions").version)
    write_deltalake(tables.path("predictions"), predictions(run_id, count, at), mode="overwrite")
    written = tables.version("predictions")
    wrote = {"predictions": written.version}
    Ledger(tables).append(Entry(run_id, "score", SUCCEEDED, at, at, "", "local", versions_written=wrote))
    if live:
        _make_live(Path(lake) / "serving", run_id, written.version, at, count)
    return written.version


def _make_live(serving: Path, run_id: str, version: int, at: datetime, count: int) -> None:
    name = f"{run_id}-v{version}"
    manifest = Manifest(
        generation=name,
        run_id=run_id,
        model_version=f"m-{run_id}",
        model_uri="",
        predictions_version=version,
        forms_version=0,
        scored_at=at,
        data_until=at,
        created_at=at,
        count=count,
        files={},
    )
    (serving / name).mkdir(parents=True)
    (serving / name / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    Generations(serving).point(CURRENT, name)


def table_rows(lake: str, version: int | None = None) -> list[tuple[Any, ...]]:
    """What the Delta table holds, in order of form_id as bytes."""
    rows = Tables(lake).delta("predictions", version).to_pyarrow_table().select(PREDICTIONS.names).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=lambda row: row[0].encode())
