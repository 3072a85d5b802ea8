"""What must be there before anything is built: Java, room on the disk, a Python that can make environments."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

JAVA_VERSIONS = (17, 21)


class SetupError(Exception):
    """One sentence: what is wrong and what to do."""


def check_python() -> None:
    """Raises SetupError where Python was installed without the parts that make environments."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        raise SetupError(f"{sys.executable} cannot make virtual environments: install its package {name}.")


def find_java() -> str:
    """Path of a Java that Spark works with: in JAVA_HOME, else on the PATH. Raises SetupError otherwise."""
    remedy = "install Java 17 or 21 (a JRE without a screen will do) and set JAVA_HOME to it"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        where = f"JAVA_HOME is {home}, where there is no bin/java" if home else "none is on the PATH"
        raise SetupError(f"Java is missing ({where}): {remedy}.")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    if found is None:
        raise SetupError(f"{java} does not answer with a version: {remedy}.")
    if int(found.group(1)) not in JAVA_VERSIONS:
        raise SetupError(f"{java} is Java {found.group(1)}, which Spark 4.1 does not run on: {remedy}.")
    return java


def check_room(folder: Path, gigabytes: float) -> None:
    """Raises SetupError where the disk under `folder` has less than `gigabytes` (10^9 bytes) free."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"Set-up needs about {gigabytes:.1f} GB on the disk of {folder}, and {free:.1f} GB are free: "
            "make room and run the same command again."
        )


# The first match says what a log is about; the order matters, as a full disk can look like anything.
_REASONS = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: make room and run the same command again",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded package differs from the one that was locked: check your registry or proxy",
    ),
    (
        r"Max retries exceeded|NewConnectionError|Failed to establish|ConnectionError|ReadTimeout"
        r"|UnknownHost|Connection refused|timed out|Network is unreachable|name resolution|ProxyError",
        "the package registry cannot be reached: the first set-up needs the network (or pip's and Java's "
        "settings for your mirror or proxy); connect and run the same command again",
    ),
    (
        r"No matching distribution|not a supported wheel",
        "the registry has no build of a locked package for this Python and machine: "
        "try Python 3.11, as in `make run PYTHON=python3.11`",
    ),
)


def reason_in(log: str) -> str:
    """The remedy that a log's own words call for."""
    for pattern, reason in _REASONS:
        if re.search(pattern, log):
            return reason
    return "run the same command again; if it fails again, the log says where"
