"""score: whatever files the forms are in, each is scored once, by the champion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, WriterProperties, write_deltalake
from generations import many_forms, small_model

from jobs.edge import pieces
from jobs.edge.context import StepContext
from jobs.edge.models import ModelVersion
from jobs.edge.scoring import score_pieces
from jobs.errors import FormcastError
from jobs.schemas import FORMS, PREDICTIONS
from jobs.steps.score import score
from speed.contract import FEATURES
from speed.scorer import MODEL_FILE, Scorer

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)


@pytest.fixture
def context(spark: object, new_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch) -> StepContext:
    """A lake with a champion, and 2,310 forms in files of 1 to 23 row groups."""
    context = new_context("score")
    rows = [
        {"form_id": form_id, "views": views, "submissions": done, "completion_rate": done / views if views else None}
        | dict(zip(FEATURES, features, strict=True))
        | {"run_id": "r0", "ingested_at": NOW}
        for form_id, (features, views, done) in many_forms(2_310).items()
    ]
    context.tables.create("forms")
    for first, last in ((0, 3), (3, 10), (10, 2_310)):
        part = pa.Table.from_pylist(rows[first:last], schema=FORMS)
        groups = WriterProperties(max_row_group_size=100)
        write_deltalake(context.tables.path("forms"), part, mode="append", writer_properties=groups)

    facts = {"params": {}, "metrics": {"mae": 0.1}, "data_version": 0, "artifact_uri": "", "artifact_sha256": ""}
    context.models.save([ModelVersion("m", "r0", "linear", **facts, state="candidate", reason="", created_at=NOW)])
    context.models.promote("m", "better")
    # What may be wrong with a model's files is tried out beside train.
    monkeypatch.setattr("jobs.edge.models.Models.verified_folder", lambda _self, _model: Path())
    monkeypatch.setattr("jobs.steps.score.read_portable", lambda _folder: small_model("m")[MODEL_FILE])
    return context


def test_each_form_is_scored_once_whatever_file_it_is_in(
    context: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "ROWS_A_PIECE", 330)
    assert score(context).details == {"model": "m"}

    forms = pa.table(context.tables.delta("forms").to_pyarrow_table()).sort_by("form_id")
    features = np.array([[row[name] for name in FEATURES] for row in forms.to_pylist()])
    rate, lower, upper = Scorer(small_model("m")[MODEL_FILE]).score(features, forms["views"].to_numpy())
    wanted = [
        {"form_id": form["form_id"], "predicted_rate": rate[at], "views": form["views"]}
        | {"lower": lower[at] if form["views"] else None, "upper": upper[at] if form["views"] else None}
        | {"completion_rate": form["completion_rate"], "model_version": "m", "run_id": "r1"}
        | {"scored_at": context.started_at}
        for at, form in enumerate(forms.to_pylist())
    ]
    table = context.tables.delta("predictions")
    found = pa.table(table.to_pyarrow_table()).select(PREDICTIONS.names)
    assert found.schema.equals(PREDICTIONS)
    assert found.sort_by("form_id").to_pylist() == pa.Table.from_pylist(wanted, schema=PREDICTIONS).to_pylist()
    assert len(table.file_uris()) == 2 + 7


def test_a_lost_form_stops_the_step_and_leaves_the_predictions(
    context: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(context)
    before, files = context.tables.version("predictions"), _files(context)
    monkeypatch.setattr(
        "jobs.steps.score.score_pieces", lambda spark, some, plan: score_pieces(spark, some[1:], plan)
    )
    with pytest.raises(FormcastError, match=r"Forms \(2,310\) and predictions \([\d,]+\) must be the same number"):
        score(context)
    assert context.tables.version("predictions") == before
    assert _files(context) == files


def test_a_table_whose_files_do_not_tell_all_is_refused(tmp_path: Path) -> None:
    table = DeltaTable.create(
        str(tmp_path / "forms"), schema=FORMS, configuration={"delta.enableDeletionVectors": "true"}
    )
    with pytest.raises(FormcastError, match="has deletion vectors or mapped columns"):
        pieces.pieces_of(table, 2)


def _files(context: StepContext) -> set[Path]:
    return set(Path(context.tables.path("predictions")).glob("*.parquet"))
