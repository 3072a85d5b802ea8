"""Locks of files on this machine, which the system frees when their holder is gone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import BusyError


@contextmanager
def only_holder(file: Path, sentence: str) -> Iterator[int]:
    """Hold the lock that is `file`. Yields its descriptor, which children inherit to hold it as long as they live.

    Raises BusyError(sentence) if another process holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(sentence) from None
        yield opened.fileno()


def is_held(file: Path) -> bool:
    """Whether some process holds the lock that is `file`."""
    if not file.exists():
        return False
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not take each other for it
        except BlockingIOError:
            return True
    return False
