"""A rehearsal ingests an old dump, trains and judges on it, and leaves alone all that is live."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from jobs.edge.ledger import Ledger
from jobs.edge.models import Models
from jobs.edge.tables import Tables
from jobs.errors import UsageError
from jobs.runner import run_step
from jobs.settings import Settings
from jobs.steps import STEPS, load_step
from speed.generations import Generations

LIVE = ("forms", "predictions")


@pytest.fixture
def settings(lake: str, tmp_path: Path) -> Settings:
    return Settings(lake=lake, logs=str(tmp_path / "logs"), driver_memory="2g", families="linear")


def dump(file: Path, rows: int, seed: int) -> str:
    """Forms whose rate hangs on one feature so plainly that the smallest model is better than none."""
    random = np.random.default_rng(seed)
    first, views = np.round(random.gamma(0.7, 3.0, rows), 1), random.integers(50, 400, rows)
    submissions = (views * 0.9 * np.exp(-first / 3)).astype(int)
    rest = "-1.0" * 46
    lines = (f"form-{at},{submissions[at]},{views[at]},{first[at]}{rest}" for at in range(rows))
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


def night(run_id: str, settings: Settings, **given: object) -> None:
    for step in STEPS:
        run_step(load_step(step), step, run_id, settings.model_copy(update=given))


def test_a_rehearsal_leaves_what_is_live_as_it_is(
    spark: object, settings: Settings, lake: str, tmp_path: Path
) -> None:
    assert spark is not None
    november, march = dump(tmp_path / "november.csv", 900, 1), dump(tmp_path / "march.csv", 700, 2)
    night("live", settings, input=november, data_until=datetime(2026, 11, 1, tzinfo=UTC))
    tables, serving = Tables(lake), Generations(Path(lake) / "serving")
    before = {name: tables.version(name) for name in LIVE}, serving.current_name(), Models(tables).champion()
    latest = (Path(lake) / "reports" / "latest.html").read_bytes()

    past = {"input": march, "data_until": datetime(2026, 3, 1, tzinfo=UTC), "publish": False}
    night("backfill", settings, **past)

    after = {name: tables.version(name) for name in LIVE}, serving.current_name(), Models(tables).champion()
    assert after == before
    assert (Path(lake) / "reports" / "latest.html").read_bytes() == latest
    (model,) = [model for model in Models(tables).of_run("backfill") if model.artifact_uri]
    assert model.state == "archived"
    assert model.reason.startswith("A rehearsal. It would ") and "held-out forms" in model.reason
    rehearsed = tables.version("rehearsed_forms")
    trained = Ledger(tables).succeeded("backfill", "train")
    assert trained is not None and trained.versions_read == {"rehearsed_forms": rehearsed.version}


def test_an_increment_is_no_rehearsal(settings: Settings, tmp_path: Path) -> None:
    new = dump(tmp_path / "new.csv", 10, 1)
    given = settings.model_copy(update={"input": new, "mode": "increment", "publish": False})
    with pytest.raises(UsageError, match="A rehearsal needs a dump of all forms"):
        run_step(load_step("prepare"), "prepare", "r1", given)
