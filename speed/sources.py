"""Where answers come from: published generations and streamed scores, opened as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from speed.generations import Generation, Generations
from speed.settings import ServeSettings
from speed.stores.base import RealtimeStore
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


def open_sources(settings: ServeSettings) -> tuple[GenerationSource, RealtimeStore]:
    """Raises StoreError where the streamed scores cannot be opened; generations may be published later."""
    serving = Path(settings.serving)
    return Generations(serving), LmdbRealtime(serving)
