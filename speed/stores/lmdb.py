"""The local score store: one read-only LMDB environment a generation, `serving/CURRENT` naming the live one."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import lmdb
import msgspec

from speed.stores.records import Manifest, Score, unpack

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
DATA = "scores.mdb"


class StoreError(Exception):
    """There is no generation to answer from, or it cannot be read."""


class LmdbStore:
    """One generation, open for look-ups. Use as a context manager or call `close`."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreError where `folder` holds no generation."""
        try:
            self.manifest = read_manifest(folder)
            self._env = lmdb.open(str(folder / DATA), subdir=False, readonly=True, lock=False)
        except (OSError, lmdb.Error, msgspec.DecodeError) as error:
            raise StoreError(f"{folder} holds no readable generation: {error}") from error

    def get(self, form_id: str) -> Score | None:
        """The score of a form, or None for one that this generation does not know."""
        with self._env.begin(buffers=True) as transaction:
            record = transaction.get(form_id.encode())
            return unpack(form_id, bytes(record)) if record is not None else None

    def first_id(self) -> str | None:
        """The first form id in key order, or None in an empty store."""
        with self._env.begin() as transaction, transaction.cursor() as cursor:
            return cursor.key().decode() if cursor.first() else None

    def __len__(self) -> int:
        return int(self._env.stat()["entries"])

    def close(self) -> None:
        self._env.close()

    def __enter__(self) -> LmdbStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def read_manifest(folder: Path) -> Manifest:
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)


def current_folder(serving: Path) -> Path:
    """Folder of the live generation. Raises StoreError before the first publish."""
    pointer = serving / CURRENT
    if not pointer.is_file():
        raise StoreError(f"Nothing is published yet below {serving}.")
    return serving / pointer.read_text(encoding="utf-8").strip()
