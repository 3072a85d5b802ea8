"""The runs of the campaign: their inputs, and each of their steps as a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.edge.ledger import STEPS

FORMS, NEW, CHANGED = 900, 40, 120
SPARK = {"prepare", "train", "score", "replay", "stream"}
"""Steps that start a JVM, and with it Python workers."""


@dataclass(frozen=True)
class Op:
    """One step of one run: `formcast <words>` with settings. step: what it is called in tables of results."""

    run_id: str
    step: str
    words: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def has_jvm(self) -> bool:
        return self.step in SPARK

    def command(self, lake: str, again: bool = False) -> list[str]:
        more = ["--again"] if again and self.words[0] == "step" else []
        run = [] if self.words[0] == "stream" else ["--run-id", self.run_id]
        return [sys.executable, "-m", "jobs", *self.words, *run, "--lake", lake, *more]

    def environment(self, logs: Path) -> dict[str, str]:
        """Small models and a small heap: a fault does not ask how good the model is."""
        common = {"FORMCAST_LOGS": str(logs), "FORMCAST_FAMILIES": "linear", "FORMCAST_DRIVER_MEMORY": "700m"}
        common |= {"FORMCAST_CORES": "2", "FORMCAST_CLAIM_WAIT": "3m", "PYTHONDONTWRITEBYTECODE": "1"}
        return os.environ | common | dict(self.settings)


def operations(inputs: Path, *, streams: bool) -> list[Op]:
    """A night, an increment, a replay, events, another night, a rollback, maintenance, and a last night."""
    swapped = "form_id,views,submissions,features"
    nights = {run: str(inputs / f"{run}.csv") for run in ("night-1", "night-2", "night-3")}
    ops = list(_steps("night-1", STEPS, FORMCAST_INPUT=nights["night-1"]))
    inc = {"FORMCAST_INPUT": str(inputs / "increment.csv"), "FORMCAST_MODE": "increment"}
    ops += _steps("inc", ("prepare", "monitor", "score", "publish"), **inc, FORMCAST_MAX_REJECT_FRACTION="0.5")
    replay = ("replay", "--reason", "submissions_exceed_views", "--columns", swapped)
    ops += [Op("again", "replay", replay), *_steps("again", ("score", "publish"))]
    if streams:
        ops.append(
            Op("events", "stream", ("stream", "--source", "folder", "--path", str(inputs / "events"), "--once"))
        )
    ops += _steps("night-2", STEPS, FORMCAST_INPUT=nights["night-2"])
    ops.append(Op("back", "rollback", ("rollback", "--to", "inc")))
    ops.append(Op("tidy", "maintain", ("maintain",)))
    ops += _steps("night-3", STEPS, FORMCAST_INPUT=nights["night-3"])
    return ops


def _steps(run_id: str, steps: tuple[str, ...], **settings: str) -> Iterator[Op]:
    return (Op(run_id, step, ("step", step), tuple(settings.items())) for step in steps)


def write_inputs(folder: Path, seed: int) -> None:
    """Dumps in which counters grow from night to night, an increment with swapped counts, and events."""
    random = np.random.default_rng(seed)
    features = np.round(random.gamma(0.7, 3.0, (FORMS + 3 * NEW, 47)), 1)
    views = random.integers(0, 400, FORMS + 3 * NEW)
    # So plain a relation that the smallest model is better than none.
    rate = np.clip(0.9 * np.exp(-features[:, 0] / 3) + random.normal(0, 0.05, len(views)), 0, 1)
    (folder / "events").mkdir(parents=True)

    def line(form: int, seen: int, *, swapped: bool = False) -> str:
        done = int(seen * rate[form])
        counts = f"{seen},{done}" if swapped else f"{done},{seen}"
        return f"form-{form},{counts}," + "-".join(map(str, features[form]))

    for night in range(3):
        forms = range(FORMS + night * NEW)
        lines = [line(form, int(views[form]) + 7 * night) for form in forms]
        lines += lines[:20]  # the same again, and some that are broken
        lines += [f"broken-{night}-{at},1" for at in range(15)]
        (folder / f"night-{night + 1}.csv").write_text("\n".join(lines) + "\n")
    changed = [line(form, int(views[form]) + 3) for form in range(CHANGED)]
    swapped = [line(form, int(views[form]) + 5, swapped=True) for form in range(CHANGED, CHANGED + 30) if views[form]]
    new = [line(form, int(views[form]) + 1) for form in range(FORMS, FORMS + NEW)]
    (folder / "increment.csv").write_text("\n".join(changed + swapped + new) + "\n")
    events = [line(form, int(views[form]) + 50) for form in range(200, 260)] + ["no event", '{"form_id": 1}']
    (folder / "events" / "first.csv").write_text("\n".join(events) + "\n")
    for at, file in enumerate(sorted(folder.glob("*.csv"))):
        os.utime(file, (1_770_000_000 + at, 1_770_000_000 + at))
    for at, run in enumerate(("night-1", "increment", "night-2", "night-3")):
        os.utime(folder / f"{run}.csv", (1_770_000_000 + 1000 * at,) * 2)
