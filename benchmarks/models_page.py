"""benchmarks/MODELS.md: the measured part as tables; what is concluded from them stands beneath, and is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import Measured
from benchmarks.report import machine

LINEAR, LIGHTGBM = "scikit-learn LinearRegression", "LightGBM, absolute loss, 300 trees"
OURS, DENSE = "Formcast ", "Formcast dnn"
_END = "<!-- The tables above are written by benchmarks.models; what follows is kept. -->"


def write_page(page: Path, command: str, measured: Mapping[str, Measured], champion: str) -> str:
    """Write the page, and answer it. champion: the best of Formcast's that need no extra, as `measured` names it."""
    kept = page.read_text(encoding="utf-8").partition(_END)[2] if page.exists() else "\n"
    lines = [*_head(command, measured), *_models(measured), "", *_targets(measured, champion), "", _END]
    text = "\n".join(lines) + kept
    page.write_text(text, encoding="utf-8")
    return text


def _head(command: str, measured: Mapping[str, Measured]) -> list[str]:
    fit_forms = measured[LIGHTGBM].said["fit_forms"]
    return [
        "# Models side by side",
        "",
        f"Made by `{command}` {machine('pyspark', 'scikit-learn', 'lightgbm', 'onnxruntime')}",
        "",
        f"All are fitted on the same {fit_forms:,} forms and judged on the same holdout. Formcast's are calibrated "
        "on forms of their own, as every night, and scored by the portable model; the outsiders are taken as they "
        "come, clipped to [0, 1]. Fit and score (the holdout) are the work alone; memory is the process tree's. The "
        "rows are synthetic (`formcast sample`), and how the features move the rate in them was invented: the table "
        "compares programs and says nothing of how well real forms can be predicted.",
        "",
    ]


def _models(measured: Mapping[str, Measured]) -> list[str]:
    strongest = measured[LIGHTGBM].said["mae"]
    lines = [
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
    return lines


def _targets(measured: Mapping[str, Measured], champion: str) -> list[str]:
    """The champion beside the others; beside the dense network, which is an extra, only where it was measured."""
    mae = {name: run.said["mae"] for name, run in measured.items()}
    seconds = {name: run.said["fit_seconds"] for name, run in measured.items()}
    to_strongest = mae[champion] / mae[LIGHTGBM] - 1
    to_linear = mae[champion] / mae[LINEAR] - 1
    rows = [
        ("MAE against LightGBM", "at most +0.3 %", f"{to_strongest:+.2%}", to_strongest <= 0.003),
        ("MAE against linear regression on raw features", "-3 % or less", f"{to_linear:+.2%}", to_linear <= -0.03),
    ]
    if DENSE in measured:
        to_dense, times = mae[champion] / mae[DENSE] - 1, seconds[champion] / seconds[DENSE]
        rows += [
            ("MAE against the dense network", "below 0", f"{to_dense:+.2%}", to_dense < 0),
            ("fit time against the dense network's", "at most 0.1x", f"{times:.2f}x", times <= 0.1),
        ]
    return [
        f"| {champion}, the best that needs no extra | target | measured | |",
        "|---|---|---:|---|",
        *(f"| {what} | {aim} | {found} | {'met' if met else 'missed'} |" for what, aim, found, met in rows),
    ]
