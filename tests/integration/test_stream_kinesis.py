"""Kinesis as a source: exact ranges of every shard, shards that split, and a whole stream on a stand-in for AWS."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from generations import many_forms, publish_generation
from streams import caught_up, line, rejected, stored

from jobs.errors import MissingError
from jobs.stream import kinesis
from jobs.stream.kinesis import KinesisReader, Offset
from jobs.stream.sources import SOURCES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 11, 24, tzinfo=UTC)


class FakeKinesis:
    """One stream as AWS has it: a closed shard ends with no iterator, and a page may be empty before the end."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.shards: dict[str, list[str]] = {}
        self.parents: dict[str, list[str]] = {}
        self.closed: set[str] = set()

    def get_paginator(self, _: str) -> FakeKinesis:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        kinds = ("ParentShardId", "AdjacentParentShardId")
        shards = [
            {"ShardId": name, **dict(zip(kinds, self.parents.get(name, []), strict=False))} for name in self.shards
        ]
        return [{"Shards": shards[:1]}, {"Shards": shards[1:]}]

    def get_shard_iterator(self, **where: str) -> dict[str, str]:
        after = int(where.get("StartingSequenceNumber", "-1"))
        assert where["ShardIteratorType"] == ("AFTER_SEQUENCE_NUMBER" if after >= 0 else "TRIM_HORIZON")
        return {"ShardIterator": f"{where['ShardId']}:{after + 1}:gap"}

    def get_records(self, ShardIterator: str) -> dict[str, Any]:
        shard, start, gap = ShardIterator.split(":")
        if gap:
            return {"Records": [], "NextShardIterator": f"{shard}:{start}:", "MillisBehindLatest": 1}
        everything = self.shards[shard]
        numbers = range(int(start), min(int(start) + self.page, len(everything)))
        records = [
            {"SequenceNumber": str(at), "Data": everything[at].encode(), "ApproximateArrivalTimestamp": NOW}
            for at in numbers
            if everything[at]
        ]
        at_end = numbers.stop == len(everything)
        following = None if at_end and shard in self.closed else f"{shard}:{numbers.stop}:"
        return {"Records": records, "NextShardIterator": following, "MillisBehindLatest": 0 if at_end else 1}


@pytest.fixture
def fake(aws: str, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeKinesis, KinesisReader]:
    monkeypatch.setattr(kinesis, "_EMPTY_PAUSE_SECONDS", 0)
    reader, client = KinesisReader("x"), FakeKinesis()
    reader._client = client
    return client, reader


def payloads(reader: KinesisReader, start: Offset) -> tuple[list[str], Offset]:
    """What a batch holds; a batch that comes again holds the same, and its ids say which record of which shard."""
    rows, end = reader.read(start)
    found = list(rows)
    assert list(reader.readBetweenOffsets(start, end)) == found
    return [payload.decode() for payload, _, _ in found], end


def test_every_shard_is_read_once_and_children_after_their_parents(fake: tuple[FakeKinesis, KinesisReader]) -> None:
    client, reader = fake
    client.shards = {"s-0": ["a", "b", "c"], "s-1": []}
    found, at = payloads(reader, reader.initialOffset())
    assert (found, at["s-0"], at["s-1"]) == (
        ["a", "b", "c"],
        {"after": "2", "closed": False},
        {"after": "", "closed": False},
    )
    assert payloads(reader, at) == ([], at)  # nothing new is no batch

    client.shards["s-0"] += ["d"]
    client.shards |= {"s-2": ["e"], "s-3": ["f"], "s-4": ["g"]}
    client.parents = {"s-2": ["s-0"], "s-3": ["s-0"], "s-4": ["s-3", "s-1"]}
    client.closed = {"s-0", "s-3", "s-1"}
    everything = []
    for _ in range(4):
        found, at = payloads(reader, at)
        everything.append(found)
    assert everything == [["d"], ["e", "f"], ["g"], []]

    del client.shards["s-0"]  # its last record is older than the stream keeps
    client.shards["s-2"] += ["h"]
    found, at = payloads(reader, at)
    assert (found, sorted(at)) == (["h"], ["s-1", "s-2", "s-3", "s-4"])


def test_a_batch_is_bounded_and_one_that_is_gone_is_said_to_be(fake: tuple[FakeKinesis, KinesisReader]) -> None:
    client, reader = fake
    client.shards = {"s-0": [str(at) for at in range(11)]}
    most = kinesis.PAGES_A_SHARD * client.page

    first, at = payloads(reader, {})
    rest, end = payloads(reader, at)
    assert (first, rest) == ([str(at) for at in range(most)], [str(at) for at in range(most, 11)])

    client.shards["s-0"][8:] = [""] * 3
    with pytest.raises(MissingError, match="are gone, up to 10"):
        reader.readBetweenOffsets(at, end)


def test_a_stream_of_two_shards_becomes_entries_in_dynamodb(
    spark: SparkSession, lake: str, dynamodb_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in os.environ.items():
        if name.startswith("AWS_"):  # Spark's own processes were started before this test
            monkeypatch.setitem(spark.sparkContext.environment, name, value)
    monkeypatch.setenv("FORMCAST_DYNAMODB_TABLE", dynamodb_table)
    publish_generation(Path(lake) / "serving", "g1", many_forms(5))
    client = boto3.client("kinesis")
    client.create_stream(StreamName="forms", ShardCount=2)

    lines = [line("a", 3), line("b", 3), "poison", line("b", 2), line("a", 4), line("c", 1)]
    records = [  # one to the one shard, one to the other
        {"Data": each.encode(), "PartitionKey": "x", "ExplicitHashKey": str(at % 2 * 2**127)}
        for at, each in enumerate(lines)
    ]
    client.put_records(StreamName="forms", Records=records)

    # Asked again from its checkpoint, the source has nothing more.
    assert caught_up(spark, lake, "kinesis", "forms") == [(5, 1, 3)]

    assert stored(lake, "a", "b", "c") == {"a": (4, 0.2, "g1"), "b": (3, 0.2, "g1"), "c": (1, 0.2, "g1")}
    assert [row[0] for row in rejected(lake)] == ["poison"]
    with pytest.raises(MissingError, match="'nobody' cannot be read"):
        SOURCES["kinesis"](spark, "nobody")
