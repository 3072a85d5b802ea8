"""One writer at a time on a lake of this machine, whoever started it. Freed by the system when its holder is gone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import FormcastError

RUN_LOCK, STEP_LOCK = ".run.lock", ".step.lock"


@contextmanager
def only_holder(file: Path, sentence: str) -> Iterator[int]:
    """Hold the lock that is `file`; answers its descriptor. Raises FormcastError(sentence) where another holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FormcastError(sentence) from None
        yield opened.fileno()


@contextmanager
def only_writer(lake: Path, lock: str) -> Iterator[int]:
    """Hold a lock of the lake: RUN_LOCK for a whole run by `make run`, STEP_LOCK for one step by anybody.

    Answers its descriptor, which children inherit to hold it as long as they live.
    Raises FormcastError where another process holds it.
    """
    busy = f"Another run is writing in {lake}: wait until it has ended, or give this one its own with LAKE=path."
    with only_holder(lake / lock, busy) as descriptor:
        yield descriptor
