"""Where events come from, each as one streaming frame of the same columns (EVENTS)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import FormcastError, MissingError, UsageError
from jobs.stream.kinesis import KinesisSource
from speed.contract import FEATURES

FILES_A_BATCH, BYTES_A_BATCH = 1_000, "256m"
_FORM = ("form_id", "views", "submissions")
# Spark lets files that much older than the newest one pass by in silence: a copy that keeps times would be lost.
_NEVER = "3650d"


def folder(spark: SparkSession, path: str) -> DataFrame:
    """Lines of text files that are moved into a folder, one event a line. A line is told apart by its content."""
    if not Path(path).is_dir():
        raise MissingError(f"There is no folder {path!r} to stream from: make it, then move files into it.")
    reader = spark.readStream.option("lineSep", "\n").option("maxFileAge", _NEVER)
    lines = reader.option("maxFilesPerTrigger", FILES_A_BATCH).text(str(Path(path).absolute()))
    payload = F.col("value").cast("binary")
    received_at = _past(F.col("_metadata.file_modification_time"))
    return lines.select(
        payload.alias("payload"), F.sha2(payload, 256).alias("event_id"), received_at.alias("received_at")
    )


def delta(spark: SparkSession, path: str) -> DataFrame:
    """Rows of a Delta table that is appended to: payloads in a column of that name, or forms in the columns of one.

    A table that changes rows in place must have its change data feed on: then every change is an event.
    Columns `event_id` and `observed_at` are used where they are there; else an event is of the time of its commit,
    or without a feed, of the batch.
    """
    if not DeltaTable.is_deltatable(path):
        raise MissingError(f"There is no Delta table in {path!r} to stream from.")
    table = DeltaTable(path)
    names = {field.name for field in table.schema().fields}
    feeds = table.metadata().configuration.get("delta.enableChangeDataFeed") == "true"
    reader = spark.readStream.format("delta").option("maxBytesPerTrigger", BYTES_A_BATCH)
    if feeds:
        changes = reader.option("readChangeFeed", "true").load(path)
        rows = changes.where("_change_type in ('insert', 'update_postimage')")
    else:
        rows = reader.load(path)

    if "payload" in names:
        payload = F.col("payload").cast("binary")
    elif names.issuperset([*_FORM, *FEATURES]):
        payload = F.to_json(F.struct(*_FORM, F.array(*FEATURES).alias("features"))).cast("binary")
    else:
        raise UsageError(
            f"Table {path!r} has no column payload, and not those of a form: {', '.join(_FORM)}, feat_01 to feat_47."
        )
    digest = F.sha2(payload, 256)
    event_id = F.coalesce("event_id", digest) if "event_id" in names else digest
    arrived = F.col("_commit_timestamp") if feeds else F.current_timestamp()
    received_at = _past(F.coalesce("observed_at", arrived) if "observed_at" in names else arrived)
    return rows.select(payload.alias("payload"), event_id.alias("event_id"), received_at.alias("received_at"))


def _past(time: Column) -> Column:
    """The time, but none after the batch, so that no clock that is ahead wins. A batch that comes again keeps it."""
    return F.least(time, F.current_timestamp())


def kinesis(spark: SparkSession, stream: str) -> DataFrame:
    """Records of a Kinesis stream, from the oldest that it keeps."""
    try:
        client = boto3.client("kinesis")
        client.describe_stream_summary(StreamName=stream)
    except (BotoCoreError, ClientError) as error:
        is_missing = isinstance(error, ClientError) and error.response["Error"]["Code"] == "ResourceNotFoundException"
        kind = MissingError if is_missing else FormcastError
        raise kind(f"The Kinesis stream {stream!r} cannot be read: {error}") from error
    # Spark reads in a process of its own: region and endpoint are settled here, where the user's settings are.
    options = {"stream": stream, "region": client.meta.region_name, "endpoint": client.meta.endpoint_url}
    spark.dataSource.register(KinesisSource)
    return spark.readStream.format(KinesisSource.name()).options(**options).load()


SOURCES: dict[str, Callable[[SparkSession, str], DataFrame]] = {
    source.__name__: source for source in (folder, delta, kinesis)
}
