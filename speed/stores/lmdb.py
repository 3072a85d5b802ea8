"""The local score store: one read-only LMDB environment a generation, one beside it with the forms' features."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import lmdb

from speed.errors import StoreDamagedError, StoreError, StoreMissingError
from speed.stores.records import Features, Manifest, Score, unpack, unpack_features

SCORES, FEATURES = "scores.mdb", "features.mdb"
_DAMAGED = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError)


class LmdbStore:
    """One generation, open for look-ups by many threads. Use as a context manager or call `close`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Raises StoreMissingError if `folder` holds no scores, StoreDamagedError if they are damaged."""
        self.manifest = manifest
        self._folder = folder
        self._scores = _opened(folder / SCORES)
        self._features: lmdb.Environment | None = None
        self._opening = threading.Lock()

    def get(self, form_id: str) -> Score | None:
        """The score of a form, or None for one that this generation does not know."""
        with self._scores.begin(buffers=True) as transaction:
            record = transaction.get(form_id.encode())
            return unpack(form_id, record) if record is not None else None

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Score]:
        """The scores of those forms that this generation knows."""
        with self._scores.begin(buffers=True) as transaction:
            found = ((form_id, transaction.get(form_id.encode())) for form_id in form_ids)
            return {form_id: unpack(form_id, record) for form_id, record in found if record is not None}

    def features(self, form_id: str) -> Features | None:
        """(47,) features that the form was scored with, or None for one that this generation does not know."""
        with self._opening:  # few ask: the file is opened for the first who does, and LMDB opens a file but once
            if self._features is None:
                self._features = _opened(self._folder / FEATURES)
        with self._features.begin() as transaction:
            packed = transaction.get(form_id.encode())
        return unpack_features(packed) if packed is not None else None

    def first_id(self) -> str | None:
        """The first form id in key order, or None in an empty store."""
        with self._scores.begin() as transaction, transaction.cursor() as cursor:
            return cursor.key().decode() if cursor.first() else None

    def __len__(self) -> int:
        return int(self._scores.stat()["entries"])

    def close(self) -> None:
        for env in (self._scores, self._features):
            if env is not None:
                env.close()

    def __enter__(self) -> LmdbStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def _opened(file: Path) -> lmdb.Environment:
    try:
        file.stat()  # LMDB has no error of its own for a file that is not there
        # Random look-ups: reading pages ahead would fill the memory with neighbours that nobody asked for.
        return lmdb.open(str(file), subdir=False, readonly=True, lock=False, readahead=False)
    except FileNotFoundError as error:
        raise StoreMissingError(f"{file} holds no readable scores: {error}.") from error
    except (OSError, lmdb.Error) as error:
        kind = StoreDamagedError if isinstance(error, _DAMAGED) else StoreError
        raise kind(f"{file} holds no readable scores: {error}.") from error
