"""Published scores in DynamoDB: each form's score in versions, and readers who stay at one generation.

A table with key form_id (S) and seq (N). Generations are numbered, and an item is what a generation changed of a
form; a form's score in generation N is its item of the greatest seq up to N. So only changes are written, and a
generation goes live by one item that names it. Attributes are short, for every byte is paid for a million times:

| form_id      | seq | attributes                                                                             |
|--------------|-----|----------------------------------------------------------------------------------------|
| of a form    | N   | r (B): the RECORD; f (B): packed features. Neither: from N on the form is gone         |
| (current)    | 0   | generation (S): the live one; pinned (S), where there is one: the one in its place     |
| (generation) | N   | generation (S): its name; manifest (S): JSON. It is there when all its items are      |
| (writing)    | 0   | generation (S), writes (N): its seq, token (S): a publish under way, or cut off        |

No form id has parentheses (speed.contract), so that the last three are never taken for forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from speed.generations import Generation, load_scorer, verify_files
from speed.stores.aws import THREADS, plain_errors
from speed.stores.dynamodb_index import DynamoIndex, Published
from speed.stores.lmdb import FEATURES, SCORES
from speed.stores.records import Features, Score, unpack, unpack_features

RECORD, PACKED = "r", "f"


class DynamoStore:
    """One generation, for look-ups by many threads."""

    def __init__(self, client: Any, pool: ThreadPoolExecutor, table: str, published: Published) -> None:
        self.manifest = published.manifest
        self._pool = pool
        self._name = f"The DynamoDB table {table!r}"
        # Consistent: a replica that lags behind would answer an older generation's score under this one's name.
        self._query = partial(
            client.query,
            TableName=table,
            KeyConditionExpression="form_id = :id and seq <= :seq",
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )
        self._seq = {"N": str(published.seq)}

    def get(self, form_id: str) -> Score | None:
        """The score of a form, or None for one that this generation does not know."""
        record = self._newest(form_id, RECORD)
        return unpack(form_id, record) if record is not None else None

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Score]:
        """The scores of those forms that this generation knows; THREADS requests at once."""
        found = self._pool.map(self.get, dict.fromkeys(form_ids))
        return {score.form_id: score for score in found if score is not None}

    def features(self, form_id: str) -> Features | None:
        """(47,) features that the form was scored with, or None for one that this generation does not know."""
        packed = self._newest(form_id, PACKED)
        return unpack_features(packed) if packed is not None else None

    def close(self) -> None:
        """Client and threads belong to DynamoGenerations, which opens more generations with them."""

    def _newest(self, form_id: str, attribute: str) -> bytes | None:
        with plain_errors(self._name):
            answer = self._query(
                ProjectionExpression=attribute,
                ExpressionAttributeValues={":id": {"S": form_id}, ":seq": self._seq},
            )
        value = answer["Items"][0].get(attribute) if answer["Items"] else None
        return value["B"] if value is not None else None


class DynamoGenerations(DynamoIndex):
    """The generations in a table. Their models lie in the lake: `folder_of` answers where, of a generation's name."""

    def __init__(self, table: str, folder_of: Callable[[str], Path]) -> None:
        super().__init__(table)
        self._folder_of = folder_of
        self._pool = ThreadPoolExecutor(THREADS, "dynamodb")

    def open(self, name: str) -> Generation:
        """A generation, its model verified. Raises StoreError where it is not what was published."""
        published = self.published(name)
        folder = self._folder_of(name)
        manifest = published.manifest
        model = {file: checksum for file, checksum in manifest.files.items() if file not in (SCORES, FEATURES)}
        verify_files(folder, msgspec.structs.replace(manifest, files=model))
        store = DynamoStore(self.client, self._pool, self.table, published)
        return Generation(folder, manifest, store, load_scorer(folder))
