"""A disk that fails: what is on it cannot be read, which says nothing about what it is."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any

import pytest


def failing_disk(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Let all reads of files and folders fail whose path has `part` in it, as a disk's or a network's errors do."""

    def unless_failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(place: Any = ".", *args: Any, **how: Any) -> Any:
            if not isinstance(place, int) and part in os.fspath(place):
                raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(place))
            return call(place, *args, **how)

        return checked

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "scandir")):
        monkeypatch.setattr(module, name, unless_failing(getattr(module, name)))
