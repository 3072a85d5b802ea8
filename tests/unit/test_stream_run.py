"""The stream's loop, without Spark."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobs.stream.batch import Outcome
from jobs.stream.run import Stream
from speed.settings import ServeSettings


def test_catching_up_goes_on_as_long_as_a_shard_has_old_events(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet shard is at its end at once, while another has a day to tell."""
    told = {"accepted": 1, "refused": 0, "stored": 1, "part": None}
    batches = [
        Outcome.of([told | {"oldest": time.time() - age} for age in ages])
        for ages in ((90_000, -60), (3_600, -60), (-60, -61), (-70,))
    ]
    stream = Stream("s", None, ServeSettings(lake=lake), None, lambda *_: None, in_parts=True)  # type: ignore[arg-type]

    def start(**_: Any) -> None:
        stream._last = batches.pop(0)

    monkeypatch.setattr(stream, "_start", start)
    monkeypatch.setattr(stream, "_wait", lambda _: None)
    stream.catch_up()
    assert len(batches) == 1
