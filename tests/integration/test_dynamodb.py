"""Publishing to DynamoDB from Spark: what is written, what is left alone, and what a reader sees meanwhile."""

from __future__ import annotations

import math
import os
import shutil
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from generations import many_forms, publish_generation

from jobs.edge import dynamodb_tasks
from jobs.edge.dynamodb import DynamoPublisher
from jobs.edge.dynamodb_tasks import DONE, WritePlan, superseded, write_changes
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from jobs.schemas import FORMS, PREDICTIONS
from speed.contract import FEATURES
from speed.errors import ThrottledError
from speed.generations import Generations
from speed.stores.dynamodb import DynamoGenerations
from speed.stores.dynamodb_realtime import DynamoRealtime
from speed.stores.records import Entry, Score

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
Rates = dict[str, tuple[float, int]]
FIRST: Rates = {"a": (0.1, 1), "ä/🦆": (0.2, 0), "c": (0.3, 3), "d": (0.4, 4), "Z" * 256: (0.5, 5)}
SECOND: Rates = {**FIRST, "a": (0.15, 1), "c": (0.3, 30), "new": (0.6, 0)}
del SECOND["d"]
EVERY = [*(FIRST | SECOND), "unknown"]


class Nights:
    """A lake whose nights end in DynamoDB. `spark` and the children of its JVM reach the test's AWS."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        self.spark, self.tables = spark, Tables(lake)
        self.publisher = DynamoPublisher(self.tables, "scores", writes=100_000, reads=100_000)
        self.serving = Path(lake) / "serving"
        self.source = DynamoGenerations("scores", lambda name: self.serving / name)
        self.client = boto3.client("dynamodb")

    def score(self, name: str, rates: Rates) -> Any:
        """The tables as prepare and score leave them, and the model's files as publish does; answers the manifest."""
        forms = [
            {"form_id": id_, "views": views, "submissions": 0, "completion_rate": None, "run_id": name}
            | dict.fromkeys(FEATURES, 0.0)
            | {"feat_03": float(views), "ingested_at": NOW}
            for id_, (_, views) in rates.items()
        ]
        predictions = [
            {"form_id": id_, "predicted_rate": rate, "lower": None, "upper": 0.9, "completion_rate": None}
            | {"views": views, "model_version": f"m-{name}", "run_id": name, "scored_at": NOW}
            for id_, (rate, views) in rates.items()
        ]
        for table, rows, schema in (("forms", forms, FORMS), ("predictions", predictions, PREDICTIONS)):
            self.tables.create(table)
            write_deltalake(self.tables.path(table), pa.Table.from_pylist(rows, schema=schema), mode="overwrite")
        publish_generation(self.serving, name, {id_: ([0.0] * 47, 1, 0) for id_ in rates})
        return msgspec.structs.replace(
            Generations(self.serving).manifest(name),
            predictions_version=self.tables.version("predictions").version,
            forms_version=self.tables.version("forms").version,
        )

    def publish(self, manifest: Any) -> dict[str, int]:
        return self.publisher.publish(lambda: self.spark, manifest)

    def night(self, name: str, rates: Rates) -> dict[str, int]:
        return self.publish(self.score(name, rates))

    def answers(self, name: str | None = None) -> dict[str, Score | None]:
        store = self.source.open(name or self.source.live_name()).store
        for form_id in filter(store.get, EVERY):
            features = np.zeros(47)
            features[2] = store.get(form_id).views  # type: ignore[union-attr]
            np.testing.assert_array_equal(store.features(form_id), features)
        return {form_id: store.get(form_id) for form_id in EVERY}

    def items(self, reserved: bool = False) -> set[tuple[str, int]]:
        """The keys of all items of forms, or of those that are reserved."""
        pages = self.client.get_paginator("scan").paginate(TableName="scores")
        keys = {(item["form_id"]["S"], int(item["seq"]["N"])) for page in pages for item in page["Items"]}
        return {key for key in keys if key[0].startswith("(") == reserved}

    def put(self, form_id: str, seq: int, rate: tuple[float, int] | None) -> None:
        """Write an item by hand; without a rate it says that the form is gone."""
        item: dict[str, Any] = {"form_id": form_id, "seq": seq}
        if rate is not None:
            record = struct.pack("<ddddq", rate[0], math.nan, 0.9, math.nan, rate[1])
            packed = bytes([0b00100000, 0, 0, 0, 0, 0]) + struct.pack("<d", rate[1]) if rate[1] else bytes(6)
            item |= {"r": record, "f": packed}
        boto3.resource("dynamodb").Table("scores").put_item(Item=item)

    def hold(self, name: str, seq: int) -> None:
        """Say that a generation is whole in the table."""
        manifest = msgspec.json.encode(Generations(self.serving).manifest(name)).decode()
        item = {"form_id": "(generation)", "seq": seq, "generation": name, "manifest": manifest}
        boto3.resource("dynamodb").Table("scores").put_item(Item=item)


@pytest.fixture
def nights(spark: SparkSession, lake: str, dynamodb_table: str) -> Iterator[Nights]:
    # The session may have been started before this test's AWS was there.
    environment = spark.sparkContext.environment
    before = dict(environment)
    environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    yield Nights(spark, lake)
    environment.clear()
    environment.update(before)


def expected(rates: Rates) -> dict[str, Score | None]:
    return {id_: Score(id_, rates[id_][0], None, 0.9, None, rates[id_][1]) if id_ in rates else None for id_ in EVERY}


def test_only_what_changed_is_written_and_each_generation_stays_whole(nights: Nights) -> None:
    others = {id_: (0.5, views) for id_, (_, views, _) in many_forms(1_200).items()}
    first, second = FIRST | others, SECOND | others
    counts = [nights.night("g1", first), nights.night("g2", second)]
    counts.append(nights.publish(nights.source.manifest("g1")))  # a rollback
    back = nights.answers()
    counts.append(nights.night("g3", second))  # as the newest that was written, not as the live one

    assert [tuple(count[name] for name in DONE.names) for count in counts] == [
        (1_205, 0, 0),
        (3, 1, 0),  # a has another rate, c other views, new is new; d is gone
        (0, 0, 0),
        (0, 0, 0),
    ]
    assert nights.items() == {(id_, 1) for id_ in first} | {("a", 2), ("c", 2), ("new", 2), ("d", 2)}
    assert nights.items(reserved=True) == {("(current)", 0), *(("(generation)", seq) for seq in (1, 2, 3))}
    assert nights.source.live_name() == "g3"
    assert nights.answers("g1") == back == expected(FIRST)
    assert nights.answers("g2") == nights.answers("g3") == expected(SECOND)


def test_rows_are_read_from_the_files_that_maintenance_left(nights: Nights) -> None:
    manifest = nights.score("g1", FIRST)
    for name in ("forms", "predictions"):
        nights.tables.append(name, [])
        table = nights.tables.delta(name)
        table.restore(table.version() - 1)
        table.optimize.z_order(["form_id"])  # writes every file anew
        table.vacuum(0, dry_run=False, enforce_retention_duration=False)

    nights.publish(manifest)
    assert nights.answers() == expected(FIRST)


def test_a_publish_mends_what_a_killed_one_left_and_removes_what_nobody_needs(nights: Nights) -> None:
    """Generations 2 and 4 are kept, and hold FIRST; number 5 was being written when its publish was killed."""
    wrong = (0.9, 9)
    versions = {
        "a": {1: wrong, 2: FIRST["a"], 5: wrong},
        "ä/🦆": {1: FIRST["ä/🦆"], 5: FIRST["ä/🦆"]},
        "c": {2: FIRST["c"], 3: wrong, 4: FIRST["c"], 5: None},
        "d": {1: None, 2: FIRST["d"]},
        "Z" * 256: {2: FIRST["Z" * 256]},
        "new": {5: SECOND["new"]},
        "unknown": {5: wrong},
        "once": {1: wrong, 2: None},
    }
    for form_id, seq, rate in ((id_, *one) for id_, seqs in versions.items() for one in seqs.items()):
        nights.put(form_id, seq, rate)
    for name, seq in (("g2", 2), ("g4", 4)):
        nights.score(name, FIRST)
        nights.hold(name, seq)
    nights.source.point("CURRENT", "g4")
    nights.put("(writing)", 0, None)
    before = nights.answers("g2"), nights.answers()
    short, whole = nights.score("g0", {"a": wrong}), nights.score("g5", SECOND)
    mixed = msgspec.structs.replace(whole, forms_version=short.forms_version)
    with pytest.raises(FormcastError, match=r"^The forms are not those of the predictions: run score again before"):
        nights.publish(mixed)
    assert nights.answers() == before[1]

    counts = nights.publish(whole)

    left = {"a": (2, 5), "ä/🦆": (1, 5), "c": (2, 4, 5), "d": (2, 5), "Z" * 256: (2,), "new": (5,), "once": (2,)}
    assert nights.items() == {(form_id, seq) for form_id, seqs in left.items() for seq in seqs}
    assert counts == {"items_written": 2, "items_gone": 1, "items_removed": 5}
    assert nights.items(reserved=True) == {("(current)", 0), *(("(generation)", seq) for seq in (2, 4, 5))}
    assert before == (expected(FIRST), expected(FIRST)) == (nights.answers("g2"), nights.answers("g4"))
    assert (nights.source.live_name(), nights.answers()) == ("g5", expected(SECOND))


def test_a_publish_that_was_taken_over_cannot_make_its_generation_live(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = nights.score("g1", FIRST), nights.score("g2", FIRST)

    def write(_: Any, manifest: Any, *__: Any) -> dict[str, int]:
        if manifest is slow:
            nights.publish(fast)
        return {}

    monkeypatch.setattr(nights.publisher, "_write", write)
    with pytest.raises(FormcastError, match="Another publish has taken over"):
        nights.publish(slow)
    assert nights.source.live_name() == "g2"
    assert nights.items(reserved=True) == {("(current)", 0), ("(generation)", 1)}


def test_generations_that_the_lake_lets_go_go_here_save_those_in_use(nights: Nights) -> None:
    for seq in range(1, 6):
        nights.score(f"g{seq}", FIRST)
        nights.hold(f"g{seq}", seq)
    nights.source.point("PIN", "g2")
    nights.source.point("CURRENT", "g3")  # after a rollback
    for seq in (1, 2, 3, 5):  # as Serving.prune does
        shutil.rmtree(nights.serving / f"g{seq}")

    nights.publisher.keep({kept.generation for kept in Generations(nights.serving).all()})

    # Number 5 is not given twice; 1 alone is of no use.
    assert [one.generation for one in nights.source.all()] == ["g5", "g4", "g3", "g2"]


def test_streamed_scores_that_the_generation_knows_better_go(nights: Nights) -> None:
    realtime = DynamoRealtime("scores")
    facts = {"event_id": "e", "scored_at": NOW, "predicted_rate": 0.1, "lower": None, "upper": None}
    facts |= {"completion_rate": None, "model_version": "m", "generation": "g", "features": b""}
    manifest = nights.score("g1", FIRST)
    late, early = manifest.data_until + timedelta(minutes=1), manifest.data_until - timedelta(minutes=1)
    ages = {"a": (2, early), "c": (0, late), "elsewhere": (5, early), "soon": (5, late)}
    realtime.put(Entry(form_id=id_, views=views, observed_at=at, **facts) for id_, (views, at) in ages.items())
    nights.hold("g1", 1)
    nights.source.point("CURRENT", "g1")

    assert nights.publisher.drop_outdated(Generations(nights.serving), manifest) == 2
    assert set(realtime.get_many(list(ages))) == {"a", "soon"}


def test_a_missing_table_is_a_plain_sentence(lake: str, aws: str) -> None:
    publisher = DynamoPublisher(Tables(lake), "nowhere", writes=1, reads=1)
    with pytest.raises(FormcastError, match=r"^The DynamoDB table 'nowhere' is not there"):
        publisher.current()


def changes(count: int) -> Iterator[pa.RecordBatch]:
    ids = [f"f{at}" for at in range(count)]
    rows = [{"form_id": id_, "r": b"r", "f": b"f", "changed": True, "versions": None} for id_ in ids]
    yield pa.RecordBatch.from_pylist(rows)


def test_what_a_write_leaves_unprocessed_is_written_again(
    dynamodb_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("dynamodb")
    calls: list[int] = []

    def leave_most(parsed: dict[str, Any], **_: Any) -> None:
        calls.append(1)
        if len(calls) <= 3:
            put = {"PutRequest": {"Item": {"form_id": {"S": "f0"}, "seq": {"N": "1"}, "r": {"B": b"later"}}}}
            parsed["UnprocessedItems"] = {"scores": [put]}

    client.meta.events.register("after-call.dynamodb.BatchWriteItem", leave_most)
    monkeypatch.setattr(dynamodb_tasks, "aws_client", lambda *_, **__: client)
    plan = WritePlan("scores", 1, (1,), 1e9, 1e9)

    [done] = write_changes(changes(30), plan)

    assert done.to_pylist() == [{"items_written": 30, "items_gone": 0, "items_removed": 0}]
    assert len(calls) == 5  # 25 items, three times what was left of them, 5 items
    item = client.get_item(TableName="scores", Key={"form_id": {"S": "f0"}, "seq": {"N": "1"}})["Item"]
    assert item["r"] == {"B": b"later"}


def test_a_write_that_stays_unprocessed_is_given_up_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
            return {"UnprocessedItems": RequestItems}

    monkeypatch.setattr(dynamodb_tasks, "aws_client", lambda *_, **__: Full())
    monkeypatch.setattr("speed.stores.aws.time", SimpleNamespace(sleep=lambda _: None))
    with pytest.raises(ThrottledError, match="'scores' leaves requests unprocessed"):
        next(write_changes(changes(1), WritePlan("scores", 1, (1,), 1e9, 1e9)))


def test_writes_keep_to_their_rate(dynamodb_table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    # That of this module alone: other threads have a clock of their own, and sleep too.
    monkeypatch.setattr(dynamodb_tasks, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    list(write_changes(changes(110), WritePlan("scores", 1, (1,), writes=50.0, reads=1.0)))

    assert slept == [
        0.0,
        0.5,
        0.5,
        0.5,
        0.5,
    ]  # before each part of 25, as long as the one before takes at 50 a second


@pytest.mark.parametrize(
    ("versions", "kept", "old"),
    [
        ({1: False}, {1, 2, 3}, []),
        ({1: False, 3: False}, {2, 3}, []),
        ({1: False, 3: False}, {3, 4}, [1]),
        ({1: False, 2: False, 3: False, 5: False}, {2, 4, 5}, [1]),
        ({1: False, 2: True}, {1, 2}, []),
        ({1: False, 2: True}, {2, 3}, [1]),
        ({2: True}, {1, 2, 3}, [2]),
        ({2: True, 3: False}, {2, 3}, [2]),
        ({}, {1}, []),
    ],
)
def test_superseded_leaves_to_each_kept_generation_what_it_reads(
    versions: dict[int, bool], kept: set[int], old: list[int]
) -> None:
    def read(left: set[int], generation: int) -> int | None:
        found = max((seq for seq in left if seq <= generation), default=None)
        return None if found is None or versions[found] else found

    assert superseded(versions, kept) == old
    left = set(versions) - set(old)
    assert [read(left, generation) for generation in kept] == [read(set(versions), one) for one in kept]
