"""Runs one step in a fresh process and prints, as JSON, the seconds of its session's start and of its work."""

from __future__ import annotations

import json
import sys
import time

from jobs.edge.models import Models
from jobs.edge.session import start_spark
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.settings import Settings
from jobs.steps import load_step

WITH_SPARK = ("prepare", "train", "score")


def main(name: str, run_id: str) -> None:
    settings = Settings()
    began = time.perf_counter()
    if name in WITH_SPARK:
        start_spark(settings, name)  # the step finds this session, so its own clock sees work only
    started = time.perf_counter()
    entry = run_step(load_step(name), name, run_id, settings)
    times = {"start": started - began, "work": time.perf_counter() - started}
    maes = [model.metrics["mae"] for model in Models(Tables(settings.lake)).of_run(run_id)]
    print(json.dumps(times | {"counts": entry.counts, "best_mae": min(maes, default=None)}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
