"""What a lake holds, in a form in which two lakes can be compared: all but times and places."""

from __future__ import annotations

from pathlib import Path

from jobs.edge.ledger import SUCCEEDED, Ledger
from jobs.edge.models import Models
from jobs.edge.tables import Tables
from speed.errors import StoreError
from speed.live import Live
from speed.settings import ServeSettings
from speed.sources import open_sources

TABLES = ("forms", "rejected_forms", "predictions")
_TIMES = {"ingested_at", "rejected_at", "scored_at", "created_at"}
_SHOWN = 300

State = dict[str, list[str]]


def state_of(lake: str, cache: Path) -> State:
    """Tables, models, steps that succeeded, and what the API would answer for each form."""
    tables = Tables(lake)
    state = {name: _rows(tables, name) for name in TABLES}
    models = Models(tables).all()
    state["models"] = sorted(repr((m.version, m.run_id, m.family, m.state, m.reason)) for m in models)
    metrics = tables.query("select run_id, name, slice, value from metrics", "metrics")
    # How long a fit took, and when a dump was written, are no facts of the data.
    state["metrics"] = sorted(repr(row) for row in metrics if row["name"] not in ("fit_seconds", "stale_review"))
    done = {(e.run_id, e.step) for e in Ledger(tables).entries() if e.status == SUCCEEDED}
    state["done"] = sorted(map(repr, done))
    state["answers"] = answers_of(lake, cache, tables)
    return state


def answers_of(lake: str, cache: Path, tables: Tables) -> list[str]:
    """What the API has to say of every form of the predictions, batch or streamed; nothing before a publish."""
    live = Live(*open_sources(ServeSettings(lake=lake, cache=str(cache))))
    try:
        live.look()
        ids = sorted(row["form_id"] for row in tables.query("select form_id from predictions", "predictions"))
        generation, found = live.find_many(ids)
        vectors = [repr(generation.store.features(form_id)) for form_id in ids]
        manifest = generation.manifest
        facts = [f"{manifest.run_id} {manifest.model_version} {manifest.count} {live.streamed()}"]
        return facts + [repr(one.score) for one in found] + vectors
    except StoreError:
        return []
    finally:
        live.close()


def _rows(tables: Tables, name: str) -> list[str]:
    if not tables.exists(name):
        return []
    rows = tables.delta(name).to_pyarrow_table().to_pylist()
    return sorted(repr({key: value for key, value in row.items() if key not in _TIMES}) for row in rows)


def differences(found: State, wanted: State) -> list[str]:
    """What differs, a short line a part; none if the two are alike."""
    lines = []
    for part, right in wanted.items():
        left = found[part]
        if left != right:
            more, less = [row for row in left if row not in right], [row for row in right if row not in left]
            shown = f"more {str(more[:2])[:_SHOWN]}, missing {str(less[:2])[:_SHOWN]}"
            lines.append(f"{part}: {len(left)} rows against {len(right)}; {shown}")
    return lines
