"""Streamed scores on one machine: a LMDB environment that stream and worker write and every API process reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import lmdb
import msgspec

from speed.errors import StoreError
from speed.merge import is_newer
from speed.stores.records import Entry

FILE = "realtime.mdb"
# Address space, not disk: room for tens of millions of entries.
MAP_BYTES = 16 << 30

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def streamed_entry(serving: Path, form_id: str) -> Entry | None:
    """A form's streamed score; None where nothing was ever streamed, and nothing is made then."""
    if not (serving / FILE).is_file():
        return None
    with closing(LmdbRealtime(serving)) as realtime:
        return realtime.get(form_id)


class LmdbRealtime:
    """The streamed scores below a serving folder. LMDB lets one process write at a time and never blocks readers."""

    def __init__(self, serving: Path) -> None:
        """Raises StoreError where the file cannot be opened or made."""
        try:
            serving.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(str(serving / FILE), subdir=False, map_size=MAP_BYTES, readahead=False)
            self._env.reader_check()  # readers that were killed hold places and old pages until then
        except (OSError, lmdb.Error) as error:
            raise StoreError(f"Streamed scores in {serving / FILE} cannot be opened: {error}.") from error

    def get(self, form_id: str) -> Entry | None:
        with self._transaction() as transaction:
            found = transaction.get(form_id.encode())
        return _decode(found) if found is not None else None

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Entry]:
        with self._transaction() as transaction:
            found = ((form_id, transaction.get(form_id.encode())) for form_id in form_ids)
            return {form_id: _decode(entry) for form_id, entry in found if entry is not None}

    def put(self, entries: Iterable[Entry]) -> int:
        """Store each entry unless one of as new or newer data is there; how many were stored. Idempotent."""
        stored = 0
        with self._transaction(write=True) as transaction:
            for entry in entries:
                key = entry.form_id.encode()
                present = transaction.get(key)
                if is_newer(entry, _decode(present) if present is not None else None):
                    transaction.put(key, _encode(entry))
                    stored += 1
        return stored

    def prune(self, is_live: Callable[[Entry], bool]) -> int:
        """Delete the entries that are not live (speed.merge.is_live); how many."""
        deleted = 0
        with self._transaction(write=True) as transaction, transaction.cursor() as cursor:
            more = cursor.first()
            while more:
                if is_live(_decode(cursor.value())):
                    more = cursor.next()
                else:
                    more = cursor.delete() and bool(cursor.key())
                    deleted += 1
        return deleted

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[lmdb.Transaction]:
        try:
            with self._env.begin(write=write) as transaction:
                yield transaction
        except lmdb.Error as error:
            verb = "written" if write else "read"
            raise StoreError(f"Streamed scores in {self._env.path()} cannot be {verb}: {error}.") from error

    def __len__(self) -> int:
        return int(self._env.stat()["entries"])

    def close(self) -> None:
        self._env.close()
