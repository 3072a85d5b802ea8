"""Nights without Spark: forms, predictions, a model, the ledger's row of score, and a publish."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.edge.artifacts import MANIFEST_FILE
from jobs.edge.context import StepContext, StepResult
from jobs.edge.ledger import Entry
from jobs.edge.models import ModelVersion
from jobs.edge.parts import PartWriter, add_action
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.schemas import TABLES
from jobs.steps.publish import publish
from speed.contract import FEATURES
from speed.generations import PAPERS, Generations
from speed.stores.records import Score
from tests.generations import small_model

NewContext = Callable[..., StepContext]
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
IDS = ["b-2", "ä", "10", "9", "Z" * 256]


def rate(at: int, run_id: str) -> float:
    return (at + 1) / 10 + (0.05 if run_id == "r2" else 0.0)


def night(new: NewContext, run_id: str, ids: list[str] = IDS, *, feature: float = 0.0) -> Entry:
    """A night whose predictions differ from those of other nights. feature: value of feat_05 in its forms."""
    scored(new, run_id, ids, feature=feature)
    return run_step(publish, "publish", run_id, new("publish").settings)


def scored(new: NewContext, run_id: str, ids: list[str] = IDS, *, feature: float = 0.0, **settings: object) -> Entry:
    """A night up to score: the tables, the model, which is champion, and the ledger's row."""
    context = new("score", run_id, **settings)
    forms = prepared(context, ids, feature)
    predictions = [
        {"form_id": form["form_id"], "predicted_rate": rate(at, run_id), "lower": None, "upper": None}
        | {"completion_rate": form["completion_rate"], "views": form["views"]}
        | {"model_version": f"m-{run_id}", "run_id": run_id, "scored_at": NOW}
        for at, form in enumerate(forms)
    ]
    put(context.tables, "predictions", predictions)
    train(context)
    result = StepResult(read=[context.tables.version("forms")], wrote=[context.tables.version("predictions")])
    return run_step(lambda _: result, "score", run_id, context.settings)


def prepared(context: StepContext, ids: list[str] = IDS, feature: float = 0.0) -> list[dict[str, Any]]:
    """The table of forms as a run leaves it, and its rows."""
    forms = [
        {"form_id": id_, "views": at, "submissions": 0, "completion_rate": 0.0 if at else None}
        | dict.fromkeys(FEATURES, 0.0)
        | {"feat_03": float(at), "feat_05": feature}
        | {"run_id": context.run_id, "ingested_at": NOW}
        for at, id_ in enumerate(ids)
    ]
    put(context.tables, "forms", forms)
    return forms


def put(tables: Tables, name: str, rows: list[dict[str, Any]]) -> None:
    """Put rows in place of all others by one commit, as Spark's tasks do: in files that can be compacted."""
    parts = [PartWriter(tables.path(name)), PartWriter(tables.path(name))]
    for part, some in zip(parts, (rows[:1], rows[1:]), strict=True):
        part.write(pa.Table.from_pylist(some, schema=TABLES[name]))
    tables.commit(name, [add_action(record) for part in parts if (record := part.close())], run_id="")


def train(context: StepContext) -> None:
    """The run's model, its folder too; it is champion."""
    name = f"m-{context.run_id}"
    staged = context.models.files.workplace(f"models/{name}")
    for file, content in small_model(name).items():
        (staged / {PAPERS: MANIFEST_FILE}.get(file, file)).write_bytes(content)
    uri, digest = context.models.publish_artifact(name, staged)
    facts = {
        "params": {},
        "metrics": {"mae": 0.1, "r2": 0.1},
        "data_version": 0,
        "artifact_uri": uri,
        "artifact_sha256": digest,
    }
    model = ModelVersion(name, context.run_id, "linear", **facts, state="candidate", reason="", created_at=NOW)
    context.models.save([model])
    context.models.promote(model.version, "better")


def live(lake: str) -> dict[str, Score | None]:
    generations = Generations(Path(lake) / "serving")
    with generations.open(generations.live_name()).store as store:
        return {form_id: store.get(form_id) for form_id in [*IDS, "unknown"]}


def predicted(lake: str) -> dict[str, float]:
    rows = Tables(lake).delta("predictions").to_pyarrow_table().to_pylist()
    return {row["form_id"]: row["predicted_rate"] for row in rows}
