"""What every store of scores can do; LMDB and DynamoDB stand behind these protocols and share their tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from speed.stores.records import Entry, Features, Manifest, Score


class ScoreStore(Protocol):
    """One generation. Look-ups raise StoreError where the store fails, ThrottledError where it is busy."""

    @property
    def manifest(self) -> Manifest: ...

    def get(self, form_id: str) -> Score | None:
        """The published score of a form, or None for one that the generation does not know."""

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Score]:
        """The scores of those forms that the generation knows."""

    def features(self, form_id: str) -> Features | None:
        """(47,) features that the form was scored with, or None for an unknown form."""

    def close(self) -> None: ...


class RealtimeStore(Protocol):
    """Scores of forms that are newer than the last night: one entry a form, the one of the newest data."""

    def get(self, form_id: str) -> Entry | None: ...

    def get_many(self, form_ids: Sequence[str]) -> dict[str, Entry]: ...

    def put(self, entries: Iterable[Entry]) -> int:
        """Store each entry unless one of as new or newer data is there; how many were stored. Idempotent."""

    def prune(self, is_live: Callable[[Entry], bool]) -> int:
        """Delete the entries that are not live (speed.merge.is_live); how many."""

    def close(self) -> None: ...
