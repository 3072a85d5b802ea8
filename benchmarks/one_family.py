"""Runs train with one family of Formcast's on the lake of FORMCAST_LAKE, and prints its figures as JSON.

`python -m benchmarks.one_family NAME`
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.rows import read_fit_and_holdout
from jobs.edge.artifacts import PORTABLE
from jobs.edge.models import Models
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.settings import Settings
from jobs.steps.train import train
from speed.scorer import Scorer


def main(name: str) -> None:
    settings = Settings(families=name)
    run_step(train, "train", name, settings)
    tables = Tables(settings.lake)
    watched = tables.metrics(name)
    (model,) = [version for version in Models(tables).of_run(name) if version.family == name]
    folder = Models(tables).folder(model.version)
    _, holdout = read_fit_and_holdout(tables.path("forms"), settings.fit_fraction)
    scorer = Scorer(folder / PORTABLE, threads=2)
    began = time.perf_counter()
    scorer.score(holdout.X)
    said = {metric: model.metrics[metric] for metric in ("mae", "rmse", "r2")} | {
        "fit_forms": model.params["fit_forms"],
        "fit_seconds": watched["fit_seconds", name],
        "score_seconds": time.perf_counter() - began,
        "bytes": (folder / PORTABLE).stat().st_size,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
