"""RESULTS.md: the figures, the command that made them, and the targets beside them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.processes import Measured

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Night:
    """Steps as measured on an input of `rows` lines and `size` bytes, and DuckDB on the same."""

    rows: int
    steps: dict[str, Measured]
    duckdb: Measured
    size: int

    def work(self, *names: str) -> float:
        return float(sum(self.steps[name].said["work"] for name in names or self.steps))

    def wall(self) -> float:
        return sum(step.seconds for step in self.steps.values())

    def against_duckdb(self) -> float:
        return self.work("prepare") / float(self.duckdb.said["work"])


@dataclass(frozen=True)
class Report:
    command: str
    night: Night
    large: Night | None
    others: Measured
    show: float


def write_report(report: Report) -> None:
    text = "\n".join([*_head(report), *_steps(report), *_targets(report), *_notes()])
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)


def _head(report: Report) -> list[str]:
    return [
        "# Benchmark results",
        "",
        f"Made by `{report.command}` {machine('pyspark', 'deltalake', 'duckdb', 'scikit-learn')}",
        "",
    ]


def machine(*packages: str) -> str:
    """When and where figures were made, and with what."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    driver = "; Spark's driver had 4 GB" if "pyspark" in packages else ""
    return (
        f"on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores and {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {versions}{driver}. The machine is shared: compare "
        "figures of one run with each other, not with those of another day."
    )


def _steps(report: Report) -> list[str]:
    lines = [
        "| step | rows | work, s | with its start, s | peak memory, GB |",
        "|---|---:|---:|---:|---:|",
    ]
    for night in filter(None, (report.night, report.large)):
        for name, step in night.steps.items():
            lines.append(_row(name, night.rows, step))
        lines.append(_row("DuckDB, work of prepare", night.rows, night.duckdb))
    said = report.others.said
    lines += [
        "",
        "Peak memory is that of the step's whole process tree, JVM and Python workers together.",
        "",
        "| on the same rows and split | fit and predict, s | holdout MAE |",
        "|---|---:|---:|",
        f"| scikit-learn LinearRegression, raw features | {said['linear_seconds']:.1f} | {said['linear_mae']:.5f} |",
        f"| scikit-learn RandomForestRegressor(n_estimators=10) | {said['forest_seconds']:.1f} "
        f"| {said['forest_mae']:.5f} |",
        f"| Formcast's champion (all families: {report.night.work('train'):.0f} s) | | {_champion(report):.5f} |",
        "",
    ]
    return lines


def _targets(report: Report) -> list[str]:
    night, large = report.night, report.large
    gain = 1 - _champion(report) / report.others.said["linear_mae"]
    rows = [
        (
            f"prepare at {night.rows:,} rows, work",
            "< 20 s",
            f"{night.work('prepare'):.1f} s",
            night.work("prepare") < 20,
        ),
        ("the same, against DuckDB", "<= 8x", f"{night.against_duckdb():.1f}x", night.against_duckdb() <= 8),
        (f"whole night at {night.rows:,} rows", "< 360 s", f"{night.wall():.0f} s", night.wall() < 360),
        ("champion's MAE below linear on raw features by", ">= 3 %", f"{gain:.1%}", gain >= 0.03),
        ("`formcast show`, process", "< 1 s", f"{report.show:.2f} s", report.show < 1),
    ]
    if large:
        grown = large.work("prepare", "score", "publish") / night.work("prepare", "score", "publish")
        rows += [
            (f"prepare at {large.rows:,} rows, against DuckDB", "<= 2.5x", f"{large.against_duckdb():.2f}x",
             large.against_duckdb() <= 2.5),
            (f"{large.rows / night.rows:.0f} times the rows: prepare, score, publish", "<= 8x", f"{grown:.1f}x",
             grown <= 8),
        ]  # fmt: skip
    lines = ["| figure | target | measured | |", "|---|---|---|---|"]
    return lines + [f"| {what} | {aim} | {found} | {'met' if met else 'missed'} |" for what, aim, found, met in rows]


def _notes() -> list[str]:
    return [
        "",
        "Prepare and DuckDB run in turns; their medians are told. The rows are synthetic (`formcast sample`): how "
        "the features move the rate in them was invented: the MAE compares programs, it says nothing of real forms.",
    ]


def _row(name: str, rows: int, step: Measured) -> str:
    return f"| {name} | {rows:,} | {step.said['work']:.1f} | {step.seconds:.1f} | {step.peak_bytes / 1e9:.2f} |"


def _champion(report: Report) -> float:
    """Holdout MAE of the best family of this run."""
    return float(report.night.steps["train"].said["best_mae"])
