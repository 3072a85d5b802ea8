"""Hands over to a program of the speed layer: it takes this process's place, and its workers load nothing of ours."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def become(module: str, **flags: object) -> NoReturn:
    """Run `python -m module` in this process; each flag that was given is a setting, FORMCAST_<NAME>."""
    for name, value in flags.items():
        if value is not None:
            os.environ[f"FORMCAST_{name.upper()}"] = str(value)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606
