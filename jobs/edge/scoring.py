"""Forms in, predictions out: the Spark job of score.

Nothing here is visible to a reader: the files become the table by a commit of the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from jobs.edge.parts import PartWriter
from jobs.edge.pieces import Piece, read_piece
from jobs.schemas import PREDICTIONS
from jobs.transforms.predictions import with_predictions
from speed.contract import FEATURES
from speed.scorer import Scorer

_READ = ("form_id", "views", "completion_rate", *FEATURES)
_RECORD = pa.schema([("record", pa.string())])


@dataclass(frozen=True)
class ScorePlan:
    """Where forms are and where predictions go; the model (ONNX), and what every prediction says of itself."""

    forms_folder: str
    predictions_folder: str
    model: bytes
    model_version: str
    run_id: str
    scored_at: datetime


def score_pieces(spark: SparkSession, pieces: Sequence[Piece], plan: ScorePlan) -> list[dict[str, Any]]:
    """Score the forms of all pieces, a task each, and write predictions; the files, as PartWriter tells them."""
    if not pieces:
        return []
    tasks = spark.range(0, len(pieces), numPartitions=len(pieces))
    done = tasks.mapInArrow(_scoring(pieces, plan), "record string").toArrow()
    return [json.loads(record) for record in done["record"].to_pylist()]


def _scoring(pieces: Sequence[Piece], plan: ScorePlan) -> Any:
    return partial(_score, pieces=pieces, plan=plan)


def _score(numbers: Iterator[pa.RecordBatch], pieces: Sequence[Piece], plan: ScorePlan) -> Iterator[pa.RecordBatch]:
    pa.set_cpu_count(1)  # a task has one core; more threads would take other tasks'
    scorer = Scorer(plan.model)
    for number in (number for batch in numbers for number in batch["id"].to_pylist()):
        record = _score_piece(scorer, pieces[number], plan)
        if record:
            yield pa.RecordBatch.from_pylist([{"record": json.dumps(record)}], schema=_RECORD)


def _score_piece(scorer: Scorer, piece: Piece, plan: ScorePlan) -> dict[str, Any] | None:
    writer = PartWriter(plan.predictions_folder)
    said = {"model_version": plan.model_version, "run_id": plan.run_id, "scored_at": plan.scored_at}
    for forms in read_piece(plan.forms_folder, piece, _READ):
        table = pa.table(with_predictions(forms, scorer))
        for name, value in said.items():
            table = table.append_column(name, pa.repeat(pa.scalar(value, PREDICTIONS.field(name).type), len(table)))
        writer.write(table.select(PREDICTIONS.names).cast(PREDICTIONS))
    return writer.close()
