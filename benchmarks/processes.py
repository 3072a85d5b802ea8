"""Runs a program and watches the memory of it and all its children."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Measured:
    """seconds: wall time of the process. peak_bytes: most memory of the process tree, shared pages shared out."""

    seconds: float
    peak_bytes: int
    said: dict[str, Any]


def measure(module: str, *arguments: str, environment: Mapping[str, str]) -> Measured:
    """Run `python -m module arguments`; its last line is JSON. Raises where it fails."""
    began = time.perf_counter()
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
        watcher.start()
        out, err = process.communicate()
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{err[-3000:]}")
    return Measured(seconds, peak[0], json.loads(out.strip().splitlines()[-1]))


def _watch(pid: int, peak: list[int]) -> None:
    while psutil.pid_exists(pid):
        try:
            root = psutil.Process(pid)
            if root.status() == psutil.STATUS_ZOMBIE:
                return
            tree = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(_memory(process) for process in tree))
        except psutil.NoSuchProcess:
            return
        time.sleep(_LOOK_SECONDS)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
