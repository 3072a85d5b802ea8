"""docs/ablation.md: the measured part as a table; what is concluded from it stands beneath, and is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobs.model.paired import Interval

_END = "<!-- The table above is written by benchmarks.ablation; what follows is kept. -->"


@dataclass(frozen=True)
class Result:
    """A variant's figures; difference: of calibrated MAE, to the family's first variant, which has none."""

    family: str
    name: str
    mae: float
    calibrated: float
    deviance: float
    seconds: float
    difference: Interval | None


def write_page(page: Path, results: list[Result], counts: dict[str, int]) -> None:
    """counts: asked and fit (forms), unique (sets of 47 values among them), unseen (forms)."""
    kept = page.read_text(encoding="utf-8").partition(_END)[2] if page.exists() else "\n"
    lines = [
        "# What the treatment of features is worth",
        "",
        f"Made by `python -m benchmarks.ablation --lake LAKE --rows {counts['asked']}` on synthetic forms: "
        f"{counts['fit']:,} fitted on ({counts['unique']:,} different sets of 47 values), "
        f"{counts['unseen']:,} unseen, half of them to calibrate and half to judge; the holdout has no part in it. "
        "Differences are of the MAE after calibration, to the family's first row, with 95 % intervals of a paired "
        "bootstrap; below 0 is better. The deviance is binomial, before calibration. Seconds are of the fit, on two "
        "cores with other work on them.",
        "",
        "| family | features | MAE | calibrated | difference | deviance | fit |",
        "|---|---|---|---|---|---|---|",
        *(_row(result) for result in results),
        "",
        _END,
    ]
    page.write_text("\n".join(lines) + kept, encoding="utf-8")


def _row(result: Result) -> str:
    told = ""
    if result.difference is not None:
        difference = result.difference
        told = f"{difference.difference:+.5f} ({difference.lower:+.5f} to {difference.upper:+.5f})"
    figures = f"{result.mae:.5f} | {result.calibrated:.5f} | {told} | {result.deviance:.4f} | {result.seconds:.1f} s"
    return f"| {result.family} | {result.name} | {figures} |"
