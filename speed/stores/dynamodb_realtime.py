"""Streamed scores in DynamoDB, for streams, workers, Lambdas and API processes of many machines.

A table with key form_id (S); an item is an Entry: v (N) its views and t (N) its observed_at in microseconds since
1970, by which the newest data wins, and e (B) the whole entry in MessagePack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from speed.merge import is_newer
from speed.stores.aws import THREADS, aws_client, plain_errors, until_processed
from speed.stores.records import Entry

SUFFIX = "-realtime"
"""The table of streamed scores stands beside that of published ones, under its name and this."""
KEYS_A_READ = 100  # as many as BatchGetItem takes
# What speed.merge.is_newer says, said to DynamoDB: it must be decided where two writers meet.
_NEWER = "attribute_not_exists(form_id) or v < :v or (v = :v and t < :t)"
_UNCHANGED = "v = :v and t = :t"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class DynamoRealtime:
    """The streamed scores of a table, for many threads."""

    def __init__(self, table: str, *, patient: bool = False) -> None:
        """table: of the published scores. patient: see aws_client. Asks for nothing yet."""
        self._table = table + SUFFIX
        self._name = f"The DynamoDB table {self._table!r}"
        self._client = aws_client("dynamodb", patient=patient)
        self._pool = ThreadPoolExecutor(THREADS, "realtime")

    def get(self, form_id: str) -> Entry | None:
        with plain_errors(self._name):
            answer = self._client.get_item(
                TableName=self._table, Key=_key(form_id), ProjectionExpression="e", ConsistentRead=True
            )
        return _decode(answer["Item"]["e"]["B"]) if "Item" in answer else None

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Entry]:
        keys = [_key(form_id) for form_id in dict.fromkeys(form_ids)]
        parts = [keys[start : start + KEYS_A_READ] for start in range(0, len(keys), KEYS_A_READ)]
        found = self._pool.map(self._read, parts)
        return {entry.form_id: entry for entries in found for entry in entries}

    def put(self, entries: Iterable[Entry]) -> int:
        """Store each entry unless one of as new or newer data is there; how many were stored. Idempotent.

        Of several entries of a form the newest is meant, the others are not written first to be replaced.
        """
        newest: dict[str, Entry] = {}
        for entry in entries:
            if is_newer(entry, newest.get(entry.form_id)):
                newest[entry.form_id] = entry
        return sum(self._pool.map(self._put, newest.values()))

    def prune(self, is_live: Callable[[Entry], bool]) -> int:
        """Delete the entries that are not live (speed.merge.is_live); how many."""
        deleted = 0
        with plain_errors(self._name):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table, ProjectionExpression="e", ConsistentRead=True
            )
            for page in pages:
                entries = (_decode(item["e"]["B"]) for item in page["Items"])
                deleted += sum(self._pool.map(self._delete, [entry for entry in entries if not is_live(entry)]))
        return deleted

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def _read(self, keys: list[dict[str, Any]]) -> list[Entry]:
        found: list[Entry] = []

        def send(request: dict[str, Any]) -> Any:
            with plain_errors(self._name):
                answer = self._client.batch_get_item(RequestItems=request)
            found.extend(_decode(item["e"]["B"]) for item in answer["Responses"].get(self._table, []))
            return answer.get("UnprocessedKeys")

        wanted = {"Keys": keys, "ProjectionExpression": "e", "ConsistentRead": True}
        until_processed(send, {self._table: wanted}, self._name)
        return found

    def _put(self, entry: Entry) -> bool:
        item = _key(entry.form_id) | {"e": {"B": _encode(entry)}}
        item |= {"v": {"N": str(entry.views)}, "t": {"N": _micros(entry)}}
        return self._where(_NEWER, entry, self._client.put_item, Item=item)

    def _delete(self, entry: Entry) -> bool:
        """Not where a newer entry came in the meantime."""
        return self._where(_UNCHANGED, entry, self._client.delete_item, Key=_key(entry.form_id))

    def _where(self, condition: str, entry: Entry, call: Callable[..., Any], **request: Any) -> bool:
        """Whether the condition held, and the call was done."""
        values = {":v": {"N": str(entry.views)}, ":t": {"N": _micros(entry)}}
        with plain_errors(self._name):
            try:
                call(
                    TableName=self._table,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    **request,
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True


def _key(form_id: str) -> dict[str, Any]:
    return {"form_id": {"S": form_id}}


def _micros(entry: Entry) -> str:
    return str((entry.observed_at - _EPOCH) // timedelta(microseconds=1))
