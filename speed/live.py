"""What is answered from now: the live generation and the streamed scores beside it, swapped without a gap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence, Sized
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from weakref import WeakValueDictionary

from speed.errors import SpeedError, StoreError
from speed.generations import Generation
from speed.merge import is_live
from speed.sources import GenerationSource
from speed.stores.base import RealtimeStore
from speed.stores.records import Entry, Score

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 2.0, 60.0

log = logging.getLogger("formcast.live")


class Found(NamedTuple):
    """A form's score that counts now. entry: the streamed one that it is from, None for a batch score."""

    score: Score
    origin: Literal["batch", "stream"]
    entry: Entry | None
    generation: Generation


class Refused(NamedTuple):
    """A generation that cannot be answered from, and why. name: empty where the pointer itself cannot be read."""

    name: str
    reason: str
    since: datetime


class NothingLiveError(StoreError):
    """There is no generation yet that can be answered from."""


class Live:
    """One process's view. `look` may block and is for a thread; look-ups read `generation` once, so never mix two."""

    def __init__(self, generations: GenerationSource, realtime: RealtimeStore) -> None:
        self.generations, self.realtime = generations, realtime
        self.generation: Generation | None = None
        self.refused: Refused | None = None
        self._retry_at, self._pause = 0.0, FIRST_RETRY_SECONDS
        self._looking = threading.Lock()
        self._held: WeakValueDictionary[str, Generation] = WeakValueDictionary()

    def now(self) -> Generation:
        """The live generation. Raises NothingLiveError before there is one."""
        if (generation := self.generation) is None:
            reason = self.refused.reason if self.refused else "Nothing was looked for yet."
            raise NothingLiveError(f"There is no generation to answer from. {reason}")
        return generation

    def look(self) -> None:
        """Look where the pointer points, and open and swap in what is new. A bad generation leaves the old one live.

        A refused one is tried again after a pause that doubles up to a minute: its files may be mended, a store back.
        Where another thread still looks, nothing is done.
        """
        if self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()

    def _look(self) -> None:
        name = ""
        try:
            name = self.generations.live_name()
            if self.generation is not None and name == self.generation.manifest.generation:
                self.refused = None
                return
            if self.refused is not None and name == self.refused.name and time.monotonic() < self._retry_at:
                return
            self.generation = self._opened(name)
        except SpeedError as error:
            self._refuse(name, str(error))
        except Exception as error:  # whatever damaged files do to the libraries that read them, the old one stays
            log.exception("Generation %s cannot be opened.", name)
            self._refuse(name, f"It cannot be opened: {error}.")
        else:
            self.refused, self._pause = None, FIRST_RETRY_SECONDS
            log.info("Generation %s is live.", name)

    def _opened(self, name: str) -> Generation:
        """The generation; one that an answer still holds is not opened again, which LMDB would refuse."""
        found = self._held.get(name)
        if found is None:
            found = self._held[name] = self.generations.open(name)
        return found

    def _fall_back(self, refused: str) -> None:
        """A process that was started beside a bad generation has no old one to keep: the newest good one it is."""
        try:
            others = [manifest.generation for manifest in self.generations.all() if manifest.generation != refused]
        except SpeedError as error:
            log.warning("What else there is cannot be seen: %s", error)
            return
        for name in others:
            try:
                self.generation = self._opened(name)
            except Exception as error:  # noqa: BLE001 - as above, and another may be whole
                log.warning("Generation %s cannot be opened either: %s", name, error)
            else:
                log.warning("Generation %s is answered from in place of %s.", name, refused)
                return

    def find(self, form_id: str) -> Found | None:
        """The score of a form, or None for an unknown one. Raises StoreError where none can be looked up."""
        generation = self.now()
        return _counting(generation, generation.store.get(form_id), self.realtime.get(form_id))

    def find_many(self, form_ids: Sequence[str]) -> tuple[Generation, list[Found]]:
        """The scores of those forms that are known, in the order of their ids; all beside one generation."""
        generation = self.now()
        scores, entries = generation.store.get_many(form_ids), self.realtime.get_many(form_ids)
        counting = (_counting(generation, scores.get(one), entries.get(one)) for one in form_ids)
        return generation, [found for found in counting if found is not None]

    def streamed(self) -> int | None:
        """How many streamed scores there are; None where counting them would cost a scan."""
        return len(self.realtime) if isinstance(self.realtime, Sized) else None

    def close(self) -> None:
        self.realtime.close()
        if self.generation is not None:
            self.generation.close()

    def _refuse(self, name: str, reason: str) -> None:
        again = self.refused is not None and self.refused.name == name
        self._pause = min(self._pause * 2, LAST_RETRY_SECONDS) if again else FIRST_RETRY_SECONDS
        self._retry_at = time.monotonic() + self._pause
        if not again or self.refused is None or self.refused.reason != reason:
            log.warning("%s: %s", f"Generation {name} is refused" if name else "No generation is named", reason)
            self.refused = Refused(name, reason, datetime.now(UTC))
        if self.generation is None and name:
            self._fall_back(name)


def _counting(generation: Generation, score: Score | None, entry: Entry | None) -> Found | None:
    if entry is not None and is_live(entry, score, generation.manifest.data_until):
        return Found(entry.score, "stream", entry, generation)
    return Found(score, "batch", None, generation) if score is not None else None
