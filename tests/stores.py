"""The places that generations are published to, each filled as its publisher would, for the tests they share."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import boto3
import lmdb
import msgspec
from generations import Forms, publish_generation

from jobs.edge.s3 import S3Publisher
from speed.generations import Generations
from speed.sources import GenerationSource
from speed.stores.dynamodb import DynamoGenerations
from speed.stores.lmdb import FEATURES, SCORES
from speed.stores.records import Score
from speed.stores.s3 import S3Generations


class Place(Protocol):
    """publish: makes a generation of these forms live; answers its scores. source: reads what is published."""

    source: GenerationSource

    def publish(self, name: str, forms: Forms, **how: Any) -> dict[str, Score]: ...


class OnDisk:
    def __init__(self, tmp_path: Path) -> None:
        self.serving = tmp_path / "serving"
        self.source: GenerationSource = Generations(self.serving)

    def publish(self, name: str, forms: Forms, **how: Any) -> dict[str, Score]:
        return publish_generation(self.serving, name, forms, **how)


class InS3(OnDisk):
    URL = "s3://lake/some/prefix/serving"

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        boto3.client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.cache = tmp_path / "cache"
        self.source = S3Generations(self.URL, self.cache)

    def publish(self, name: str, forms: Forms, **how: Any) -> dict[str, Score]:
        scores = super().publish(name, forms, **how)
        publisher = S3Publisher(self.URL)
        publisher.upload(self.serving / name)
        publisher.swap(name)
        return scores


class InDynamoDB(OnDisk):
    """Its items are written here by a naive loop: what jobs.edge.dynamodb writes must be read the same."""

    TABLE = "scores"

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.source = DynamoGenerations(self.TABLE, lambda name: self.serving / name)
        self.table = boto3.resource("dynamodb").Table(self.TABLE)
        self.held: dict[str, tuple[bytes, bytes]] = {}
        self.seq = 0

    def publish(self, name: str, forms: Forms, **how: Any) -> dict[str, Score]:
        scores = super().publish(name, forms, **how)
        self.seq += 1
        now = self._records(name)
        with self.table.batch_writer() as batch:
            for form_id in now.keys() | self.held.keys():
                if form_id not in now:
                    batch.put_item({"form_id": form_id, "seq": self.seq})
                elif now[form_id] != self.held.get(form_id):
                    record, packed = now[form_id]
                    batch.put_item({"form_id": form_id, "seq": self.seq, "r": record, "f": packed})
        manifest = msgspec.json.encode(Generations(self.serving).manifest(name)).decode()
        self.table.put_item(
            Item={"form_id": "(generation)", "seq": self.seq, "generation": name, "manifest": manifest}
        )
        pointer = {"form_id": "(current)", "seq": 0}
        self.table.update_item(
            Key=pointer, UpdateExpression="set generation = :name", ExpressionAttributeValues={":name": name}
        )
        self.held = now
        return scores

    def _records(self, name: str) -> dict[str, tuple[bytes, bytes]]:
        records, packed = (_read(self.serving / name / file) for file in (SCORES, FEATURES))
        return {form_id: (record, packed[form_id]) for form_id, record in records.items()}


def _read(file: Path) -> dict[str, bytes]:
    with closing(lmdb.open(str(file), subdir=False, readonly=True, lock=False)) as env, env.begin() as transaction:
        return {key.decode(): value for key, value in transaction.cursor()}
