"""Publishes generations to DynamoDB: Spark compares the table with what it should hold and writes the difference."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
from pyspark.errors import PythonException
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.edge.dynamodb_tasks import DONE, HELD, WANTED, WritePlan, pack_wanted, scan_segments, write_changes
from jobs.edge.lineage import history_of
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from speed.contract import FEATURES
from speed.errors import SpeedError
from speed.generations import CURRENT, Generations
from speed.merge import is_live
from speed.stores.aws import plain_errors
from speed.stores.dynamodb import PACKED, RECORD
from speed.stores.dynamodb_index import GENERATION, POINTER, WRITING, DynamoIndex, key
from speed.stores.dynamodb_realtime import DynamoRealtime
from speed.stores.lmdb import LmdbStore
from speed.stores.records import RECORD as RECORD_TYPE
from speed.stores.records import Manifest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SENTENCE = re.compile(r"^(?:speed|jobs)\.errors\.\w+: (.+)$", re.MULTILINE)


class DynamoPublisher:
    """The one writer of a table (the lake's lock sees to that). Its errors are FormcastError."""

    def __init__(self, tables: Tables, table: str, *, writes: float, reads: float) -> None:
        """writes: items a second, reads: units of read capacity a second, both over all executors."""
        self._tables, self._table, self._writes, self._reads = tables, table, writes, reads
        with in_plain_words():
            self._index = DynamoIndex(table, patient=True)

    def publish(self, new_spark: Callable[[], SparkSession], manifest: Manifest) -> dict[str, int]:
        """Make a generation live, written first where the table does not hold it; how many items that took.

        A publish that was killed is taken over: what it wrote is in the comparison, and is overwritten where it is
        wrong. new_spark: is called only where there is something to compare.
        """
        with in_plain_words():
            held = self._index.every()
            if any(manifest.generation == published.manifest.generation for published in held):
                self._index.point(CURRENT, manifest.generation)
                return dict.fromkeys(DONE.names, 0)
            seq = 1 + max((published.seq for published in held), default=0)
            token = self._announce(manifest, seq)
            kept = (*(published.seq for published in held), seq)
            done = self._write(new_spark, manifest, seq, kept)
            with plain_errors(self._index.name):
                self._switch(manifest, seq, token)
        return done

    def current(self) -> str | None:
        """The name of the generation that was published last or rolled back to, or None before the first."""
        with in_plain_words():
            return self._index.pointers().get("generation")

    def point(self, name: str) -> None:
        """Make a generation live that the table holds."""
        with in_plain_words():
            self._index.point(CURRENT, name)

    def drop_outdated(self, lake: Generations, manifest: Manifest) -> int:
        """Delete streamed scores that a generation knows better; how many."""
        with (
            in_plain_words(),
            closing(DynamoRealtime(self._table, patient=True)) as realtime,
            LmdbStore(lake.folder(manifest.generation), manifest) as store,
        ):
            return realtime.prune(lambda entry: is_live(entry, store.get(entry.form_id), manifest.data_until))

    def keep(self, names: set[str]) -> None:
        """Forget other generations than these and those in use; the next publish removes items that they alone need.

        A night passes between the two, so that no reader is left who has not seen that they are gone.
        """
        with in_plain_words():
            published = self._index.every()
            newest = published[0].manifest.generation  # stays in any case: its number must not be given twice
            stay = {*names, self._index.current_name(), self._index.pinned(), newest}
            for seq in (one.seq for one in published if one.manifest.generation not in stay):
                with plain_errors(self._index.name):
                    self._index.client.delete_item(TableName=self._table, Key=key(GENERATION, seq))

    def _announce(self, manifest: Manifest, seq: int) -> str:
        """Say that a publish is under way; whoever says so last may finish."""
        token = uuid.uuid4().hex
        item = key(WRITING, 0) | {"generation": {"S": manifest.generation}, "token": {"S": token}}
        with plain_errors(self._index.name):
            self._index.client.put_item(TableName=self._table, Item=item | {"writes": {"N": str(seq)}})
        return token

    def _write(
        self, new_spark: Callable[[], SparkSession], manifest: Manifest, seq: int, kept: tuple[int, ...]
    ) -> dict[str, int]:
        spark = new_spark()
        tasks = spark.sparkContext.defaultParallelism
        plan = WritePlan(self._table, seq, kept, self._writes / tasks, self._reads / tasks)
        changes = _changes(self._wanted(spark, manifest), _held(spark, plan, tasks))
        done = changes.repartition(tasks).mapInArrow(partial(write_changes, plan=plan), _ddl(DONE))
        total = done.agg(*(F.sum(name).alias(name) for name in DONE.names)).first()
        return {name: int(total[name] or 0) for name in DONE.names}

    def _wanted(self, spark: SparkSession, manifest: Manifest) -> DataFrame:
        scores = self._as_of(spark, "predictions", manifest.predictions_version)
        forms = self._as_of(spark, "forms", manifest.forms_version).select("form_id", *FEATURES)
        columns = scores.select("form_id", *(RECORD_TYPE.names or ()))
        return columns.join(forms, "form_id", "left").mapInArrow(pack_wanted, _ddl(WANTED))

    def _as_of(self, spark: SparkSession, name: str, version: int) -> DataFrame:
        """A table's rows as of `version`, from files that maintenance has not deleted if any are left."""
        return self._tables.spark(spark, name, history_of(self._tables, name).newest_of(version))

    def _switch(self, manifest: Manifest, seq: int, token: str) -> None:
        """The generation is whole, it is live, and nothing is under way: all three at once or none."""
        whole = key(GENERATION, seq) | {
            "generation": {"S": manifest.generation},
            "manifest": {"S": msgspec.json.encode(manifest).decode()},
        }
        name, mine = {":name": {"S": manifest.generation}}, {":mine": {"S": token}}
        update = {
            "Key": key(POINTER, 0),
            "UpdateExpression": "set generation = :name",
            "ExpressionAttributeValues": name,
        }
        delete = {"Key": key(WRITING, 0), "ConditionExpression": "#token = :mine"}
        delete |= {"ExpressionAttributeNames": {"#token": "token"}, "ExpressionAttributeValues": mine}
        client = self._index.client
        try:
            client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": self._table, "Item": whole}},
                    {"Update": {"TableName": self._table} | update},
                    {"Delete": {"TableName": self._table} | delete},
                ]
            )
        except client.exceptions.TransactionCanceledException as error:
            raise FormcastError(
                f"Another publish has taken over the DynamoDB table {self._table!r}: "
                f"generation {manifest.generation} was not made live. Publish again when the other has ended."
            ) from error


def _held(spark: SparkSession, plan: WritePlan, segments: int) -> DataFrame:
    """A row a form in the table: its newest r and f (null where it is gone), and its versions."""
    scan = partial(scan_segments, plan=plan, segments=segments)
    items = spark.range(0, segments, 1, segments).mapInArrow(scan, _ddl(HELD))
    version = F.struct("seq", F.col(RECORD).isNull().alias("gone"))
    newest = (F.max_by(name, "seq").alias(f"held_{name}") for name in (RECORD, PACKED))
    return items.groupBy("form_id").agg(*newest, F.collect_list(version).alias("versions"))


def _changes(wanted: DataFrame, held: DataFrame) -> DataFrame:
    """The forms for which something may be written or removed, as `write_changes` takes them."""
    record, packed = (F.col(name).eqNullSafe(F.col(f"held_{name}")) for name in (RECORD, PACKED))
    both = wanted.join(held, "form_id", "full_outer").withColumn("changed", ~(record & packed))
    old = (F.size("versions") > 1) | F.exists("versions", lambda version: version["gone"])
    return both.where(F.col("changed") | old).select("form_id", RECORD, PACKED, "changed", "versions")


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in from_arrow_schema(schema))


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Say as FormcastError, in its sentence alone, what went wrong here or in a Spark task."""
    try:
        yield
    except SpeedError as error:
        raise FormcastError(str(error)) from error
    except PythonException as error:
        found = _SENTENCE.search(str(error))
        if found is None:
            raise
        raise FormcastError(found.group(1)) from error
