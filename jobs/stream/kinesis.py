"""Kinesis for Spark: records of all shards between exact sequence numbers, so that a batch can be read again.

An offset says of each shard what was read last: {"shard-0": {"after": "4957...", "closed": False}}; `after` is empty
before the first record. When a shard is split or merged, its children are read once it is read to its end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from pyspark.sql.datasource import DataSource, SimpleDataSourceStreamReader
from pyspark.sql.types import StructType

from jobs.errors import MissingError

EVENTS = "payload binary, event_id string, received_at timestamp"
PAGES_A_SHARD = 4
"""At most so many of a shard in one batch, each of 10 MB or 10,000 records: they wait in the driver's memory."""
_EMPTY_PAUSE_SECONDS = 0.2  # a shard may be asked five times a second

Offset = dict[str, dict[str, Any]]
Row = tuple[bytes, str, datetime]


class KinesisSource(DataSource):
    """`spark.readStream.format("formcast-kinesis").option("stream", name)`."""

    @classmethod
    def name(cls) -> str:
        return "formcast-kinesis"

    def schema(self) -> str:
        return EVENTS

    def simpleStreamReader(self, schema: StructType) -> KinesisReader:  # noqa: N802  (Spark's name)
        return KinesisReader(self.options["stream"], self.options.get("region"), self.options.get("endpoint"))


class KinesisReader(SimpleDataSourceStreamReader):
    """Reads on the driver: made for thousands of events a second, not for hundreds of thousands."""

    def __init__(self, stream: str, region: str | None = None, endpoint: str | None = None) -> None:
        self._stream, self._region, self._endpoint = stream, region, endpoint

    @cached_property
    def _client(self) -> Any:
        """Made where it is first used: Spark sends the reader to other processes."""
        retries = Config(retries={"mode": "standard", "max_attempts": 10})
        return boto3.client("kinesis", region_name=self._region, endpoint_url=self._endpoint, config=retries)

    def initialOffset(self) -> Offset:  # noqa: N802
        """The oldest that the stream keeps."""
        return {}

    def read(self, start: Offset) -> tuple[Iterator[Row], Offset]:
        """What came after `start`, up to a limit a shard, and the offset behind it."""
        rows: list[Row] = []
        end = self._readable(start)
        for shard, at in end.items():
            if not at["closed"]:
                found, closed = self._read_shard(shard, at["after"])
                rows += found
                end[shard] = {"after": _last(found, at["after"]), "closed": closed}
        return iter(rows), end

    def readBetweenOffsets(self, start: Offset, end: Offset) -> Iterator[Row]:  # noqa: N802
        """The same records again. Raises MissingError where the stream does not keep them any more."""
        rows: list[Row] = []
        for shard, at in end.items():
            after = start.get(shard, {}).get("after", "")
            if at["after"] != after:
                found, _ = self._read_shard(shard, after, until=at["after"])
                if _last(found, after) != at["after"]:
                    raise MissingError(
                        f"Records of shard {shard} of stream {self._stream} are gone, up to {at['after']}: it keeps "
                        "them no longer. Have them sent again, and start under a new --name."
                    )
                rows += found
        return iter(rows)

    def _readable(self, start: Offset) -> Offset:
        """Where to go on in each shard that the stream has, children left out whose parents have more to read."""
        pages = self._client.get_paginator("list_shards").paginate(StreamName=self._stream)
        shards = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
        unread = {shard for shard in shards if not start.get(shard, {}).get("closed", False)}
        return {
            name: start.get(name, {"after": "", "closed": False})
            for name, shard in sorted(shards.items())
            if name in start or not unread & {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")}
        }

    def _read_shard(self, shard: str, after: str, until: str = "") -> tuple[list[Row], bool]:
        """Records after a sequence number (the oldest without one), and whether the shard ends with them.

        They go up to `until`, or else to what is the newest now, or PAGES_A_SHARD.
        """
        where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        oldest = {"ShardIteratorType": "TRIM_HORIZON"}
        found = self._client.get_shard_iterator(
            StreamName=self._stream, ShardId=shard, **(where if after else oldest)
        )
        iterator, rows, pages = found["ShardIterator"], list[Row](), 0
        while iterator and (until or pages < PAGES_A_SHARD):
            answer = self._client.get_records(ShardIterator=iterator)
            pages += bool(answer["Records"])
            for record in answer["Records"]:
                rows.append(_row(shard, record))
                if record["SequenceNumber"] == until:
                    return rows, False
            iterator = answer.get("NextShardIterator")
            if iterator and not answer.get("MillisBehindLatest"):
                return rows, False
            if not answer["Records"]:
                time.sleep(_EMPTY_PAUSE_SECONDS)  # a gap in a busy shard is answered with nothing
        return rows, iterator is None


def _row(shard: str, record: dict[str, Any]) -> Row:
    return record["Data"], f"{shard}:{record['SequenceNumber']}", record["ApproximateArrivalTimestamp"]


def _last(rows: list[Row], before: str) -> str:
    """The sequence number of the last record, or the one before where there is none."""
    return rows[-1][1].rpartition(":")[2] if rows else before
