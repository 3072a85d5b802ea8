"""`make bench-models`: every family of Formcast's beside well-known outsiders, on the same forms and the same split.

Writes benchmarks/MODELS.md. Each model is fitted in a fresh process; memory is that of its whole process tree.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.one_model import MODELS
from benchmarks.processes import Measured, measure
from benchmarks.report import machine
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
    for family in families(asked.families):
        if family.name == BASELINE:
            continue  # never fitted alone: train has it beside every other
        print(family.name, flush=True)
        measured[f"Formcast {family.name}"] = measure("benchmarks.one_family", family.name, environment=environment)
    command = f"make bench-models ROWS={asked.rows}" + (f" FAMILIES={asked.families}" if asked.families else "")
    text = "\n".join(_lines(command, measured)) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _lines(command: str, measured: dict[str, Measured]) -> list[str]:
    fit_forms = next(iter(measured.values())).said["fit_forms"]
    strongest = next(run.said["mae"] for name, run in measured.items() if name.startswith("LightGBM"))
    lines = [
        "# Models side by side",
        "",
        f"Made by `{command}` {machine('pyspark', 'scikit-learn', 'lightgbm', 'onnxruntime')}",
        "",
        f"All are fitted on the same {fit_forms:,} forms and judged on the same holdout. Formcast's are calibrated "
        "on forms of their own, as every night, and scored by the portable model; the outsiders are taken as they "
        "come, clipped to [0, 1]. Fit and score (the holdout) are the work alone; memory is the process tree's.",
        "",
        "| model | MAE | against LightGBM | RMSE | R2 | fit, s | score, s | peak memory, GB | artifact, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in sorted(measured.items(), key=lambda item: item[1].said["mae"]):
        said = run.said
        lines.append(
            f"| {name} | {said['mae']:.5f} | {said['mae'] / strongest - 1:+.2%} | {said['rmse']:.5f} "
            f"| {said['r2']:.4f} | {said['fit_seconds']:.1f} | {said['score_seconds']:.2f} "
            f"| {run.peak_bytes / 1e9:.2f} | {said['bytes'] / 1e6:.2f} |"
        )
    lines += [
        "",
        "The rows are synthetic (`formcast sample`): how the features move the rate in them was invented. The table "
        "compares programs; it says nothing of how well real forms can be predicted.",
    ]
    return lines


if __name__ == "__main__":
    main()
