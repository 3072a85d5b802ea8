"""The items of a DynamoDB table that are no scores: which generations it holds, and which of them is live.

See speed.stores.dynamodb for the table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from speed.errors import StoreDamagedError, StoreMissingError
from speed.generations import CURRENT
from speed.stores.aws import aws_client, plain_errors
from speed.stores.records import Manifest

POINTER, GENERATION, WRITING = "(current)", "(generation)", "(writing)"


class Published(NamedTuple):
    """A generation that is whole in the table, and its number."""

    seq: int
    manifest: Manifest


class DynamoIndex:
    """What is published in a table."""

    def __init__(self, table: str, *, patient: bool = False) -> None:
        """patient: see aws_client."""
        self.table, self.name = table, f"The DynamoDB table {table!r}"
        self.client = aws_client("dynamodb", patient=patient)

    def live_name(self) -> str:
        """The generation to answer from: pinned, else current. Raises StoreMissingError before the first publish."""
        pointer = self.pointers()
        return self._live(pointer.get("pinned") or pointer.get("generation"))

    def live_manifest(self) -> Manifest:
        """Of the generation to answer from. Raises StoreMissingError before the first publish."""
        return self.manifest(self.live_name())

    def current_name(self) -> str:
        """The generation that was published last, or rolled back to. Raises StoreMissingError before the first."""
        return self._live(self.pointers().get("generation"))

    def pinned(self) -> str | None:
        return self.pointers().get("pinned")

    def pointers(self) -> dict[str, str]:
        """`generation`, the current one, and `pinned`: each where there is one."""
        with plain_errors(self.name):
            answer = self.client.get_item(TableName=self.table, Key=key(POINTER, 0), ConsistentRead=True)
        item = answer.get("Item", {})
        return {name: item[name]["S"] for name in ("generation", "pinned") if name in item}

    def point(self, pointer: str, name: str) -> None:
        """Make PIN or CURRENT name a generation. Raises StoreMissingError if the table does not hold it."""
        self.published(name)
        attribute = "generation" if pointer == CURRENT else "pinned"
        self._update_pointer(f"set {attribute} = :name", ExpressionAttributeValues={":name": {"S": name}})

    def unpin(self) -> None:
        self._update_pointer("remove pinned")

    def manifest(self, name: str) -> Manifest:
        """Raises StoreMissingError if the table does not hold the generation."""
        return self.published(name).manifest

    def all(self) -> list[Manifest]:
        """Every generation that is kept, newest first. Raises StoreDamagedError if a manifest is damaged."""
        return [published.manifest for published in self.every()]

    def every(self) -> list[Published]:
        """Every generation that is kept, with its number, newest first."""
        with plain_errors(self.name):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.table,
                KeyConditionExpression="form_id = :id",
                ExpressionAttributeValues={":id": {"S": GENERATION}},
                ScanIndexForward=False,
                ConsistentRead=True,
            )
            items = [item for page in pages for item in page["Items"]]
        return [Published(int(item["seq"]["N"]), self._manifest_of(item)) for item in items]

    def published(self, name: str) -> Published:
        """A generation with its number. Raises StoreMissingError if the table does not hold it."""
        for published in self.every():
            if published.manifest.generation == name:
                return published
        raise StoreMissingError(f"{self.name} holds no generation {name!r}: publish it again.")

    def _manifest_of(self, item: dict[str, Any]) -> Manifest:
        try:
            return msgspec.json.decode(item["manifest"]["S"], type=Manifest)
        except msgspec.DecodeError as error:
            raise StoreDamagedError(
                f"{self.name} has no readable manifest of {item['generation']['S']!r}: {error}."
            ) from error

    def _live(self, name: str | None) -> str:
        if name is None:
            raise StoreMissingError(f"Nothing is published yet in the DynamoDB table {self.table!r}.")
        return name

    def _update_pointer(self, expression: str, **values: Any) -> None:
        with plain_errors(self.name):
            self.client.update_item(TableName=self.table, Key=key(POINTER, 0), UpdateExpression=expression, **values)


def key(form_id: str, seq: int) -> dict[str, Any]:
    return {"form_id": {"S": form_id}, "seq": {"N": str(seq)}}
