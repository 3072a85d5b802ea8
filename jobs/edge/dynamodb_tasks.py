"""What a Spark task of a publish to DynamoDB does with its rows (see jobs.edge.dynamodb)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.edge.score_files import records_of
from jobs.errors import FormcastError
from jobs.transforms.predictions import features_of
from speed.contract import FEATURES
from speed.stores.aws import aws_client, plain_errors, until_processed
from speed.stores.dynamodb import PACKED, RECORD
from speed.stores.dynamodb_index import key
from speed.stores.records import pack_features

WANTED = pa.schema([("form_id", pa.string()), (RECORD, pa.binary()), (PACKED, pa.binary())])
HELD = pa.schema([("form_id", pa.string()), ("seq", pa.int64()), (RECORD, pa.binary()), (PACKED, pa.binary())])
DONE = pa.schema([(name, pa.int64()) for name in ("items_written", "items_gone", "items_removed")])
ITEMS_A_WRITE = 25  # as many as BatchWriteItem takes
# Pages of 1 MB, the default, take 256 units at one blow from the partition that readers ask as well.
ITEMS_A_READ = 500


@dataclass(frozen=True)
class WritePlan:
    """seq: the number of the generation in the making. kept: the numbers of those that must stay readable, with it.

    writes: items a second. reads: units of read capacity a second (4 KB each). Both are of one task.
    """

    table: str
    seq: int
    kept: tuple[int, ...]
    writes: float
    reads: float


class Pace:
    """Holds its caller to a rate: `spend` sleeps as long as what was spent before asks for."""

    def __init__(self, a_second: float) -> None:
        self._a_second, self._free_at = a_second, time.monotonic()

    def spend(self, units: float) -> None:
        now = time.monotonic()
        time.sleep(max(0.0, self._free_at - now))
        self._free_at = max(self._free_at, now) + units / self._a_second


def pack_wanted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of predictions with their forms' features as WANTED. Raises FormcastError where a form is missing."""
    for batch in batches:
        if batch[FEATURES[0]].null_count:
            raise FormcastError("The forms are not those of the predictions: run score again before publish.")
        if batch.num_rows:
            records = pa.array(records_of(pa.Table.from_batches([batch])), pa.binary())
            packed = pa.array(pack_features(features_of(batch)), pa.binary())
            yield pa.record_batch([batch["form_id"], records, packed], schema=WANTED)


def scan_segments(batches: Iterable[pa.RecordBatch], plan: WritePlan, segments: int) -> Iterator[pa.RecordBatch]:
    """Every version of every form in the segments of the table that `id` numbers, as HELD."""
    client, pace = aws_client("dynamodb", patient=True), Pace(plan.reads)
    for segment in (number for batch in batches for number in batch["id"].to_pylist()):
        pages = client.get_paginator("scan").paginate(
            TableName=plan.table,
            Segment=segment,
            TotalSegments=segments,
            # What a publish wrote that was killed a moment ago must be seen.
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
            PaginationConfig={"PageSize": ITEMS_A_READ},
        )
        with plain_errors(f"The DynamoDB table {plan.table!r}"):
            for page in pages:
                pace.spend(page["ConsumedCapacity"]["CapacityUnits"])
                rows = [_held(item) for item in page["Items"] if not item["form_id"]["S"].startswith("(")]
                yield pa.RecordBatch.from_pylist(rows, schema=HELD)


def write_changes(batches: Iterable[pa.RecordBatch], plan: WritePlan) -> Iterator[pa.RecordBatch]:
    """Write what is to be done, at the plan's pace; one row of DONE says how much it was.

    Rows: form_id, r and f (null: the form is gone), changed, versions (of (seq, gone), those in the table).
    """
    client, pace, done = aws_client("dynamodb", patient=True), Pace(plan.writes), Counter[str]()
    what = f"The DynamoDB table {plan.table!r}"

    def send(request: dict[str, Any]) -> Any:
        pace.spend(sum(map(len, request.values())))
        with plain_errors(what):
            return client.batch_write_item(RequestItems=request)["UnprocessedItems"]

    for batch in batches:
        requests = [request for row in batch.to_pylist() for request in requests_of(row, plan, done)]
        for start in range(0, len(requests), ITEMS_A_WRITE):
            until_processed(send, {plan.table: requests[start : start + ITEMS_A_WRITE]}, what)
    yield pa.RecordBatch.from_pylist([{name: done[name] for name in DONE.names}], schema=DONE)


def requests_of(row: Mapping[str, Any], plan: WritePlan, done: Counter[str]) -> list[dict[str, Any]]:
    """What BatchWriteItem is to do for a form; counted in `done`."""
    gone = row[RECORD] is None
    versions = {version["seq"]: version["gone"] for version in row["versions"] or ()}
    if row["changed"]:
        versions[plan.seq] = gone
    old = superseded(versions, plan.kept)
    requests: list[dict[str, Any]] = [{"DeleteRequest": {"Key": key(row["form_id"], seq)}} for seq in old]
    done["items_removed"] += len(old)
    if row["changed"] and plan.seq not in old:
        values = {} if gone else {RECORD: {"B": row[RECORD]}, PACKED: {"B": row[PACKED]}}
        requests.append({"PutRequest": {"Item": key(row["form_id"], plan.seq) | values}})
        done["items_gone" if gone else "items_written"] += 1
    return requests


def superseded(versions: Mapping[int, bool], kept: Iterable[int]) -> list[int]:
    """The numbers of a form's versions that no kept generation needs.

    versions: by number, whether the form is gone from there on. A generation needs the last version up to it, unless
    that says of a form without any earlier version that it is gone: no item at all says as much.
    """
    order = sorted(versions)
    needed = {max((seq for seq in order if seq <= generation), default=None) for generation in kept}
    return [seq for seq in order if seq not in needed or (seq == order[0] and versions[seq])]


def _held(item: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: item[name]["B"] if name in item else None for name in (RECORD, PACKED)}
    return {"form_id": item["form_id"]["S"], "seq": int(item["seq"]["N"])} | values
