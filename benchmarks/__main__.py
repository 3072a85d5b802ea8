"""`make bench ROWS=1000000`: every step timed in a fresh process, beside DuckDB and scikit-learn on the same rows.

With --large N the steps that grow with the forms (prepare, score, publish) run again on N rows with the same model.
Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.processes import Measured, measure
from benchmarks.report import Night, Report, write_report
from benchmarks.rows import sample_of
from jobs.settings import ROOT
from jobs.steps import STEPS

GROWING = ("prepare", "score", "publish")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=0, help="rows of a second, larger input; 0 for none")
    parser.add_argument("--repeats", type=int, default=3, help="times that prepare and DuckDB run; medians are told")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "formcast-bench")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)

    source = sample_of(asked.work, asked.rows)
    night = _night(asked.work / "lake", source, STEPS, asked.repeats)
    print("formcast show", flush=True)
    show = _show(asked.work / "lake")
    print("scikit-learn", flush=True)
    forms = str(asked.work / "lake" / "forms")
    others = measure("benchmarks.sklearn_pipeline", forms, environment=os.environ)
    large = None
    if asked.large:
        shutil.rmtree(asked.work / "large", ignore_errors=True)
        for part in ("model_versions", "models"):
            shutil.copytree(asked.work / "lake" / part, asked.work / "large" / part)
        large = _night(asked.work / "large", sample_of(asked.work, asked.large), GROWING, 1)
    write_report(Report(f"make bench ROWS={asked.rows} LARGE={asked.large}", night, large, others, show))


def _night(lake: Path, source: Path, steps: tuple[str, ...], repeats: int) -> Night:
    """The steps on `source`, prepare and DuckDB in turns so that both see the same machine."""
    keep = {"models", "model_versions"} if "train" not in steps else set()
    for old in lake.iterdir() if lake.exists() else ():
        if old.name not in keep:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    environment = os.environ | {
        "FORMCAST_LAKE": str(lake),
        "FORMCAST_INPUT": str(source),
        "FORMCAST_LOGS": str(lake / "logs"),
    }
    prepares, ducks = [], []
    for turn in range(repeats):
        print(f"prepare and DuckDB, {turn + 1} of {repeats}", flush=True)
        prepares.append(measure("benchmarks.one_step", "prepare", f"bench-{turn}", environment=environment))
        target = str(lake / "duckdb.parquet")
        ducks.append(measure("benchmarks.duckdb_ingest", str(source), target, environment=environment))
    measured = {"prepare": _middle(prepares)}
    for name in steps:
        if name != "prepare":
            print(name, flush=True)
            run_id = f"bench-{repeats - 1}"
            measured[name] = measure("benchmarks.one_step", name, run_id, environment=environment)
    return Night(prepares[0].said["counts"]["read"], measured, _middle(ducks), source.stat().st_size)


def _middle(runs: list[Measured]) -> Measured:
    """The run whose work took the median of seconds."""
    middle = statistics.median_low([run.said["work"] for run in runs])
    return next(run for run in runs if run.said["work"] == middle)


def _show(lake: Path) -> float:
    """Median seconds of the whole process of `formcast show` on an id that is there."""
    from jobs.edge.tables import Tables  # noqa: PLC0415  (only where a lake is there)

    form_id = Tables(str(lake)).any_id("predictions")
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        command = [str(ROOT / ".venv" / "bin" / "formcast"), "show", form_id, "--lake", str(lake)]
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
