"""Where answers come from: published generations and streamed scores, opened as the settings say."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from speed.errors import StoreError
from speed.generations import Generation, Generations
from speed.settings import ServeSettings
from speed.stores.base import RealtimeStore
from speed.stores.lmdb import FEATURES, SCORES
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Manifest


class GenerationSource(Protocol):
    """What is published somewhere. Every method may block, and raises StoreError where it cannot answer."""

    def live_name(self) -> str:
        """The generation to answer from: the pinned one, else the current."""

    def open(self, name: str) -> Generation:
        """A generation, after every byte of it was verified."""

    def all(self) -> list[Manifest]:
        """Every whole generation that is kept, newest first."""


def open_sources(settings: ServeSettings, *, patient: bool = False) -> tuple[GenerationSource, RealtimeStore]:
    """Raises StoreError where the streamed scores cannot be opened; generations may be published later.

    Streamed scores are in DynamoDB where a table is named: then writers and readers may be on many machines.
    patient: whether to wait out a throttled table by minutes, which nobody can who must answer.
    """
    in_s3 = settings.serving.startswith("s3://")
    serving = Path(settings.cache or _temporary()) if in_s3 else Path(settings.serving)
    generations = (
        _in_dynamodb(settings, serving)
        if settings.store == "dynamodb"
        else generations_below(settings.serving, serving)
    )
    return generations, _streamed(settings, serving, patient)


def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="formcast-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def generations_below(serving: str, cache: Path, without: tuple[str, ...] = ()) -> Generations:
    """serving: a folder or an s3:// prefix. cache: where generations of S3 are pulled to, all files but `without`."""
    if not serving.startswith("s3://"):
        return Generations(Path(serving))
    # boto3 costs a start a quarter of a second: here and below it is imported where AWS is asked for.
    from speed.stores.s3 import S3Generations  # noqa: PLC0415

    return S3Generations(serving, cache, without)


def _in_dynamodb(settings: ServeSettings, folder: Path) -> GenerationSource:
    if not settings.dynamodb_table:
        raise StoreError("FORMCAST_STORE=dynamodb needs the name of a table: set FORMCAST_DYNAMODB_TABLE.")
    from speed.stores.dynamodb import DynamoGenerations  # noqa: PLC0415

    models = generations_below(settings.serving, folder, without=(SCORES, FEATURES))
    return DynamoGenerations(settings.dynamodb_table, models.folder)


def _streamed(settings: ServeSettings, folder: Path, patient: bool) -> RealtimeStore:
    if not settings.dynamodb_table:
        return LmdbRealtime(folder)
    from speed.stores.dynamodb_realtime import DynamoRealtime  # noqa: PLC0415

    return DynamoRealtime(settings.dynamodb_table, patient=patient)
