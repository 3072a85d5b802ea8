"""The whole night, in Airflow, on the shipped sample; checked against counts that Spark had no part in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from jobs.edge.context import StepContext
from jobs.edge.tables import Tables
from jobs.runner import run_step
from jobs.settings import ROOT
from jobs.steps import load_step
from speed.generations import Generations

SAMPLE = ROOT / "data" / "sample.csv"
CLEAN = re.compile(r"[^,]+,[0-9]{1,18},[0-9]{1,18},[0-9.]+(-[0-9.]+){46}")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], str]:
    """Lake, summary and screen of `formcast nightly` on the sample."""
    folder = tmp_path_factory.mktemp("night")
    command = [sys.executable, "-m", "jobs", "nightly", "--run-id", "night", "--input", str(SAMPLE)]
    command += ["--lake", str(folder / "lake"), "--summary", str(folder / "summary.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "lake", json.loads((folder / "summary.json").read_text()), done.stdout


def test_a_night_publishes_every_good_form_once(night: tuple[Path, dict[str, object], str]) -> None:
    lake, summary, screen = night
    lines = SAMPLE.read_text(encoding="utf-8").split("\n")[:-1]
    best: dict[str, tuple[int, int]] = {}
    clean = 0
    for text in lines:
        if CLEAN.fullmatch(text):
            form_id, submissions, views, _ = text.split(",")
            if int(submissions) <= int(views):
                clean += 1
                best[form_id] = max(best.get(form_id, (0, 0)), (int(views), int(submissions)))

    assert summary["counts"] == {
        "read": len(lines),
        "accepted": len(best),
        "rejected": len(lines) - clean,
        "duplicates": clean - len(best),
        "forms": len(best),
    }
    predictions = Tables(str(lake)).delta("predictions").to_pyarrow_table()
    found = duckdb.sql(
        "select count(distinct form_id), count(*), sum(views), min(predicted_rate) >= 0, max(predicted_rate) <= 1, "
        "list(distinct run_id), count(distinct model_version), count(distinct predicted_rate) > 100 from predictions"
    ).fetchall()
    views = sum(views for views, _ in best.values())
    assert found == [(len(best), len(best), views, True, True, ["night"], 1, True)]
    generations = Generations(lake / "serving")
    with generations.open(generations.live_name()).store as store:
        rates = dict(zip(predictions["form_id"].to_pylist(), predictions["predicted_rate"].to_pylist(), strict=True))
        assert {form_id: store.get(form_id).predicted_rate for form_id in best} == rates  # type: ignore[union-attr]
    assert "Traceback" not in screen and "WARN" not in screen
    assert str(summary["champion"]) in screen and "Try next" in screen


def test_the_same_input_gives_the_same_predictions(
    night: tuple[Path, dict[str, object], str], new_context: Callable[..., StepContext], lake: str, spark: object
) -> None:
    """By hand, in another session, under another run id: only run, model version and time may differ."""
    assert spark is not None
    settings = new_context("prepare", input=str(SAMPLE)).settings
    for step in ("prepare", "train", "promote", "score"):
        run_step(load_step(step), step, "again", settings)

    mine, theirs = (
        Tables(path).delta("predictions").to_pyarrow_table().drop(["run_id", "model_version", "scored_at"])
        for path in (lake, str(night[0]))
    )
    assert mine.sort_by("form_id").equals(theirs.sort_by("form_id"))


def test_a_broken_dump_ends_with_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    dump = tmp_path / "swapped.csv"
    dump.write_text("\n".join(f"{i},9,5," + "-".join(["1.0"] * 47) for i in range(200)), encoding="utf-8")
    command = [sys.executable, "-m", "jobs", "nightly", "--input", str(dump), "--lake", str(tmp_path / "lake")]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 3
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert "--columns form_id,views,submissions,features" in done.stdout + done.stderr, last
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((tmp_path / "lake").rglob("part-*.snappy.parquet")) or not Tables(str(tmp_path / "lake")).exists(
        "forms"
    )
