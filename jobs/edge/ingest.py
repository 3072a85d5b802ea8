"""Lines in, Parquet files out: the Spark job of prepare.

A first cheap pass hashes every line's form id. Lines whose hash stands alone are parsed and written where they
are; only the others are brought together (one small shuffle), so that of a form's rows the newest wins.
Nothing here is visible to a reader: the files become part of a table by a commit of the caller's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.edge.ingest_plan import CONTESTED, OUTCOME_DDL, IngestPlan
from jobs.edge.ingest_tasks import settle_lines, write_lines
from jobs.edge.inputs import InputFile
from jobs.edge.line_count import count_lines
from jobs.edge.places import in_s3
from jobs.transforms.layout import Layout

_ROWS_TO_SETTLE_IN_A_TASK = 200_000
# What may stand around a form id and is not part of it, for every layout.
_AROUND_ID = " \t\r()\ufeff"


@dataclass
class Ingested:
    """What became of the lines: counts, reasons with examples, and the files that were written.

    lines: how many were read from each file, by path.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, records: Iterable[str]) -> None:
        for record in map(json.loads, records):
            self.counts.update(record["counts"])
            self.lines.update(record["lines"])
            self.reasons.update(record["reasons"])
            self.examples = (self.examples + record["examples"])[:3]
            self.forms += filter(None, [record["forms"]])
            self.rejected += filter(None, [record["rejected"]])


def ingest_files(spark: SparkSession, files: Sequence[InputFile], plan: IngestPlan) -> Ingested:
    """Parse the lines of files as `ingest` does. Counts besides: lines (in the bytes of the files), headers."""
    lines = count_lines(spark, [file.path for file in files])
    frames = [
        _lines_of_files(spark, [file.path for file in files if file.layout == layout], layout, index)
        for index, layout in enumerate(plan.layouts)
    ]
    ingested = ingest(reduce(lambda one, other: one.unionAll(other), frames), plan)
    ingested.counts["lines"] = lines
    return ingested


def _lines_of_files(spark: SparkSession, paths: list[str], layout: Layout, index: int) -> DataFrame:
    """The lines of files of one layout, as `with_id_hash` has them."""
    # Without lineSep Spark would also split at a lone carriage return.
    lines = spark.read.option("lineSep", "\n").text([uri_of(path) for path in paths])
    lines = lines.withColumn("source", F.col("_metadata.file_path"))
    return with_id_hash(lines.withColumn("written_at", F.col("_metadata.file_modification_time")), layout, index)


def with_id_hash(lines: DataFrame, layout: Layout, index: int) -> DataFrame:
    """Of (value, source, written_at) make (line, source, written_at, layout, id_hash, is_header).

    written_at: when a line's file was last written, or when the line was refused. layout: its index. Equal ids always
    have equal hashes. A header is no data: whoever drops it counts it.
    """
    # Finds a comma or two where split_part would cut up the whole line: a tenth of the time.
    form_id = F.substring_index(F.substring_index("value", ",", layout.columns.index("form_id") + 1), ",", -1)
    is_header = F.lit(False)
    if layout.header is not None:
        is_header = F.btrim("value", F.lit(" \t\r\ufeff")) == layout.header.decode()
    return lines.select(
        F.col("value").cast("binary").alias("line"),
        "source",
        "written_at",
        F.lit(index).alias("layout"),
        F.xxhash64(F.btrim(form_id, F.lit(_AROUND_ID))).alias("id_hash"),
        is_header.alias("is_header"),
    )


def ingest(lines: DataFrame, plan: IngestPlan) -> Ingested:
    """Parse `lines` and write their files. Counts: read, accepted, rejected, duplicates; and headers, not read."""
    repeated = _repeated_hashes(lines)
    outcomes = lines.mapInArrow(_writing(plan, repeated), OUTCOME_DDL).persist(StorageLevel.MEMORY_AND_DISK)
    ingested = Ingested()
    ingested.add(task_records(outcomes.where(F.col("kind") != CONTESTED)))
    contested = ingested.counts.pop("contested", 0)
    if contested:
        tasks = max(2, contested // _ROWS_TO_SETTLE_IN_A_TASK)
        together = outcomes.where(F.col("kind") == CONTESTED).repartition(tasks, "id_hash")
        ingested.add(task_records(together.mapInArrow(_settling(plan), OUTCOME_DDL)))
    outcomes.unpersist()
    return ingested


def _repeated_hashes(lines: DataFrame) -> np.ndarray:
    """(r,) sorted hashes of form ids that stand in more than one line."""
    # Sorting plain numbers in numpy takes a third of the time of a groupBy with a count.
    repeated = (
        lines.where(~F.col("is_header"))
        .select("id_hash")
        .repartition("id_hash")
        .mapInArrow(_keep_repeated, "id_hash bigint")
    )
    return np.sort(repeated.toArrow()["id_hash"].to_numpy())


def _keep_repeated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    hashes = np.sort(np.concatenate([np.empty(0, np.int64), *(batch["id_hash"].to_numpy() for batch in batches)]))
    yield pa.record_batch({"id_hash": np.unique(hashes[1:][hashes[1:] == hashes[:-1]])})


def task_records(outcomes: DataFrame) -> list[str]:
    """What each task says it did, as JSON for `Ingested.add`."""
    return list(outcomes.select("record").toArrow()["record"].to_pylist())


def _writing(plan: IngestPlan, repeated: np.ndarray) -> Any:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return write_lines(batches, plan, repeated)

    return write


def _settling(plan: IngestPlan) -> Any:
    def settle(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return settle_lines(batches, plan)

    return settle


def uri_of(path: str) -> str:
    """A file of this machine or of S3 as Spark takes it by name."""
    return _escaped(path) if in_s3(path) else f"file://{_escaped(path)}"


def _escaped(path: str) -> str:
    """A path in which Hadoop's glob characters stand for themselves."""
    return "".join(f"\\{char}" if char in "*?[]{}\\," else char for char in path)
