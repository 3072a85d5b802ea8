"""Kept answers in DynamoDB, for workers on many machines.

A table with key request_id (S); an item is a Kept: of (B), text (S), and until (N), by which DynamoDB's own time to
live deletes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from speed.stores.aws import aws_client, plain_errors, until_processed
from speed.worker.memory import Kept

SUFFIX = "-answers"
"""The table stands beside that of published scores, under its name and this."""


class DynamoMemory:
    """The kept answers of a table, for many threads."""

    def __init__(self, table: str, seconds: float) -> None:
        """table: of the published scores. seconds: how long an answer is kept. Asks for nothing yet."""
        self._table, self._seconds = table + SUFFIX, seconds
        self._name = f"The DynamoDB table {self._table!r}"
        self._client = aws_client("dynamodb")

    def get_many(self, request_ids: Sequence[str]) -> dict[str, Kept]:
        """At most a hundred."""
        found: dict[str, Kept] = {}

        def send(request: dict[str, Any]) -> Any:
            with plain_errors(self._name):
                answer = self._client.batch_get_item(RequestItems=request)
            kept = [_kept(item) for item in answer["Responses"].get(self._table, [])]
            found.update((one.request_id, one) for one in kept)
            return answer.get("UnprocessedKeys")

        keys = [{"request_id": {"S": request_id}} for request_id in dict.fromkeys(request_ids)]
        if keys:
            until_processed(send, {self._table: {"Keys": keys, "ConsistentRead": True}}, self._name)
        return found

    def keep(self, answers: Sequence[Kept]) -> dict[str, Kept]:
        until = int(time.time() + self._seconds)
        return {one.request_id: self._keep(msgspec.structs.replace(one, until=until)) for one in answers}

    def close(self) -> None:
        self._client.close()

    def _keep(self, answer: Kept) -> Kept:
        item = {"request_id": {"S": answer.request_id}, "of": {"B": answer.of}, "text": {"S": answer.text}}
        with plain_errors(self._name):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=item | {"until": {"N": str(answer.until)}},
                    ConditionExpression="attribute_not_exists(request_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._client.exceptions.ConditionalCheckFailedException as error:
                return _kept(error.response["Item"])
        return answer


def _kept(item: dict[str, Any]) -> Kept:
    return Kept(item["request_id"]["S"], item["of"]["B"], item["text"]["S"], int(item["until"]["N"]))
