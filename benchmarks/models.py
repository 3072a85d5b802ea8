"""`make bench-models`: every family of Formcast's beside well-known outsiders, on the same forms and the same split.

Writes benchmarks/MODELS.md. Each model is fitted in a fresh process; memory is that of its whole process tree.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.models_page import OURS, write_page
from benchmarks.one_model import MODELS
from benchmarks.processes import Measured, measure
from benchmarks.rows import sample_of
from jobs.model.families import families
from jobs.model.gate import BASELINE
from jobs.settings import Settings

RESULTS = Path(__file__).with_name("MODELS.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--families", default="", help="as FORMCAST_FAMILIES; empty: all that need no extra")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "formcast-bench-models")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    lake = asked.work / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    environment = os.environ | {"FORMCAST_LAKE": str(lake), "FORMCAST_LOGS": str(lake / "logs")}
    source = {"FORMCAST_INPUT": str(sample_of(asked.work, asked.rows))}
    measure("benchmarks.one_step", "prepare", "models", environment=environment | source)

    measured: dict[str, Measured] = {}
    for name in MODELS:
        print(name, flush=True)
        fraction = str(Settings().fit_fraction)
        measured[name] = measure("benchmarks.one_model", name, str(lake / "forms"), fraction, environment=environment)
    # The baseline is never fitted alone: train has it beside every other.
    own = [family for family in families(asked.families) if family.name != BASELINE]
    for family in own:
        print(family.name, flush=True)
        measured[OURS + family.name] = measure("benchmarks.one_family", family.name, environment=environment)
    plain = [OURS + family.name for family in own if not family.extra] or [OURS + family.name for family in own]
    champion = min(plain, key=lambda name: measured[name].said["mae"])
    command = f"make bench-models ROWS={asked.rows}" + (f" FAMILIES={asked.families}" if asked.families else "")
    print(write_page(RESULTS, command, measured, champion))


if __name__ == "__main__":
    main()
