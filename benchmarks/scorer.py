"""`make bench-scorer`: a lake's champion on forms one at a time, in batches, and in Spark; writes SCORER.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from pyspark.ml import PipelineModel

from benchmarks.report import machine
from jobs.edge.artifacts import read_portable
from jobs.edge.models import Models
from jobs.edge.session import start_spark
from jobs.edge.tables import Tables
from jobs.errors import MissingError
from jobs.model.families import MLLIB
from jobs.settings import Settings
from jobs.transforms.features import with_features
from jobs.transforms.predictions import features_of, with_predictions
from speed.contract import FEATURES
from speed.scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RESULTS = Path(__file__).with_name("SCORER.md")
_ALONE, _TIMES = 20_000, 5
_SCORED = "form_id string, views bigint, predicted_rate double, lower double, upper double"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer", description=__doc__)
    parser.add_argument("--lake", default="lake", help="where a champion is, fitted by MLlib")
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    tables = Tables(asked.lake)
    champion = Models(tables).champion()
    folder = Models(tables).verified_folder(champion)
    if not (folder / MLLIB).is_dir():
        raise MissingError(f"The champion {champion.version} is none of MLlib's: there is nothing to compare with.")
    model = read_portable(folder)
    forms = _forms(tables, asked.rows)

    alone = _one_by_one(Scorer(model), features_of(forms.slice(0, _ALONE)).tolist())
    batches = {threads: _in_one_batch(Scorer(model, threads), forms) for threads in (1, 2)}

    spark = start_spark(Settings(lake=asked.lake), "bench-scorer")
    frame = spark.createDataFrame(forms).repartition(spark.sparkContext.defaultParallelism).persist()
    frame.count()
    native = PipelineModel.load(str(folder / MLLIB))
    ways = {
        "the portable scorer, in mapInArrow": lambda: _run(frame.mapInArrow(partial(_scored, model=model), _SCORED)),
        "MLlib's own transform": lambda: _run(native.transform(with_features(frame)).select("form_id", "prediction")),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(_TIMES + 1):  # in turns, so that a noisy minute hits both; the first warms up
        for name, way in ways.items():
            seconds[name] += _timed(way, 1) if turn else []
            _ = way() if not turn else None

    text = "\n".join(_lines(asked.rows, champion.family, alone, batches, seconds)) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _forms(tables: Tables, rows: int) -> pa.Table:
    """form_id, views and features of so many forms, repeated where the lake has fewer."""
    columns = ["form_id", "views", *FEATURES]
    found = DeltaTable(tables.path("forms")).to_pyarrow_dataset().to_table(columns=columns)
    return pa.concat_tables([found] * -(-rows // len(found))).slice(0, rows).combine_chunks()


def _one_by_one(scorer: Scorer, rows: list[list[float]]) -> np.ndarray:
    """Microseconds of each call."""
    took = np.empty(len(rows))
    for i, row in enumerate(rows):
        began = time.perf_counter_ns()
        scorer.score_one(row, 50)
        took[i] = time.perf_counter_ns() - began
    return took / 1e3


def _in_one_batch(scorer: Scorer, forms: pa.Table) -> float:
    return median(_timed(lambda: scorer.score(features_of(forms), forms["views"].to_numpy())))


def _timed(work: Callable[[], object], times: int = _TIMES) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return took


def _run(frame: DataFrame) -> None:
    frame.write.format("noop").mode("overwrite").save()


def _scored(batches: Iterator[pa.RecordBatch], model: bytes) -> Iterator[pa.RecordBatch]:
    scorer = Scorer(model)
    return (with_predictions(batch, scorer) for batch in batches)


def _lines(
    rows: int, family: str, alone: np.ndarray, batches: dict[int, float], seconds: dict[str, list[float]]
) -> list[str]:
    p50, p99 = np.percentile(alone, [50, 99])
    portable, own = (median(each) for each in seconds.values())
    return [
        "# The portable scorer",
        "",
        f"Made by `make bench-scorer ROWS={rows}` {machine('onnxruntime', 'pyspark')}",
        "",
        f"The champion is of the family {family}, calibrated, with intervals. Medians of {_TIMES} runs.",
        "",
        "| what | measured | target |",
        "|---|---:|---:|",
        f"| one form, p50 of {len(alone):,} calls | {p50:.1f} us | 20 us |",
        f"| one form, p99 | {p99:.1f} us | |",
        *(
            f"| {rows:,} forms from Arrow, {threads} thread{'s' * (threads > 1)} | {took:.2f} s "
            f"| {'4 s' if threads > 1 else ''} |"
            for threads, took in batches.items()
        ),
        *(f"| {rows:,} cached forms in Spark, {name} | {median(took):.2f} s | |" for name, took in seconds.items()),
        "",
        f"In Spark the portable scorer takes {portable / own:.2f} of the time of MLlib's own transform, and gives "
        "the calibrated rate and its interval, where MLlib gives a raw prediction. Hence there is one scorer, and no "
        "switch to choose another (ADR 0007).",
    ]


if __name__ == "__main__":
    main()
