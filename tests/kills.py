"""Kills a process in the middle of its work, however busy the machine is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

SECONDS = 300


def killed_midway(
    lakes: Iterable[str],
    start: Callable[[str], subprocess.Popen[Any]],
    has_begun: Callable[[str], object],
    has_ended: Callable[[str], object],
) -> str:
    """The lake whose process, the leader of its session, was killed after its work had begun and before it ended.

    A busy machine may come too late to one: then the next lake is tried.
    """
    for lake in lakes:
        process = start(lake)
        try:
            end = time.monotonic() + SECONDS
            while process.poll() is None and not has_begun(lake) and time.monotonic() < end:
                time.sleep(0.005)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if has_begun(lake) and not has_ended(lake):
            return lake
    raise AssertionError("No process was caught in the middle of its work.")
