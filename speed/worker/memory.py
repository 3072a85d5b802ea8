"""Answers by request id, kept before they are sent: a request that comes again gets the very same one.

SQS delivers at least once, and a worker may die between any two lines. What was kept is what is sent, whatever
generation is live by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import lmdb
import msgspec

from speed.errors import StoreError

FILE = "answers.mdb"
# Address space, not disk.
MAP_BYTES = 64 << 30
_FORGET_AT_ONCE = 100


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer. of: SHA-256 of the message that it answers, as an id may be used for two by mistake."""

    request_id: str
    of: bytes
    text: str
    until: int = 0
    """Unix time after which it may be forgotten."""


class Memory(Protocol):
    """Raises StoreError where it fails, ThrottledError where it is busy."""

    def get_many(self, request_ids: Sequence[str]) -> dict[str, Kept]: ...

    def keep(self, answers: Sequence[Kept]) -> dict[str, Kept]:
        """Keep each unless there is one of its request id; by id, the one that is kept. On disk when it returns."""

    def close(self) -> None: ...


class LmdbMemory:
    """The memory of the workers of one machine."""

    def __init__(self, folder: Path, seconds: float, now: Callable[[], float] = time.time) -> None:
        """seconds: how long an answer is kept. Raises StoreError where the file cannot be opened or made."""
        self._seconds, self._now = seconds, now
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = str(folder / FILE)
            self._env = lmdb.open(file, subdir=False, map_size=MAP_BYTES, max_dbs=2, readahead=False)
            self._answers, self._ends = self._env.open_db(b"answers"), self._env.open_db(b"ends")
        except (OSError, lmdb.Error) as error:
            raise StoreError(f"Kept answers in {folder / FILE} cannot be opened: {error}.") from error

    def get_many(self, request_ids: Sequence[str]) -> dict[str, Kept]:
        try:
            with self._env.begin(self._answers) as transaction:
                found = ((key, transaction.get(key.encode())) for key in request_ids)
                return {key: _decode(value) for key, value in found if value is not None}
        except lmdb.Error as error:
            raise StoreError(f"Kept answers cannot be read: {error}.") from error

    def keep(self, answers: Sequence[Kept]) -> dict[str, Kept]:
        until = int(self._now() + self._seconds)
        kept: dict[str, Kept] = {}
        try:
            with self._env.begin(self._answers, write=True) as transaction:
                self._forget(transaction)
                for answer in answers:
                    key, new = answer.request_id.encode(), msgspec.structs.replace(answer, until=until)
                    present = transaction.get(key)
                    kept[answer.request_id] = new if present is None else _decode(present)
                    if present is None:
                        transaction.put(key, _encode(new))
                        transaction.put(until.to_bytes(8) + key, b"", db=self._ends)
        except lmdb.Error as error:
            raise StoreError(f"Answers cannot be kept: {error}.") from error
        return kept

    def close(self) -> None:
        self._env.close()

    def _forget(self, transaction: lmdb.Transaction) -> None:
        """Delete what has ended, a few at a time: always more than come in."""
        with transaction.cursor(self._ends) as cursor:
            for _ in range(_FORGET_AT_ONCE):
                if not cursor.first() or int.from_bytes(cursor.key()[:8]) >= self._now():
                    return
                transaction.delete(cursor.key()[8:])
                cursor.delete()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode
