"""A dump that lost forms or lines: what is refused leaves no trace, what is let in is told."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dumps import NewContext, dump, forms, ingest, line, orphans
from generations import many_forms, publish_generation

from jobs.edge.context import StepResult
from jobs.edge.ledger import Entry
from jobs.edge.summary import summarize
from jobs.edge.tables import Tables
from jobs.errors import ContractError
from jobs.report.facts import gather
from jobs.runner import run_step
from jobs.steps.monitor import monitor
from speed.generations import CURRENT, Generations

pytestmark = pytest.mark.usefixtures("spark")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Nights:
    """Runs of prepare and monitor on one lake, and publishes of as many scores as they left forms."""

    def __init__(self, new_context: NewContext, lake: str, folder: Path) -> None:
        self.new, self.lake, self.folder = new_context, lake, folder

    def prepare(self, run_id: str, ids: Iterable[object], last: float = 1.0, **settings: object) -> Entry:
        lines = [line(form_id, 1, 10, last) for form_id in ids]
        entry = ingest(self.new, dump(self.folder / f"{run_id}.csv", *lines), run_id, **settings)
        run_step(monitor, "monitor", run_id, self.new("monitor", run_id, **settings).settings)
        return entry

    def publish(self, run_id: str) -> None:
        count = Tables(self.lake).version("forms").rows
        publish_generation(Path(self.lake, "serving"), run_id, many_forms(count), data_until=LONG_AGO)
        published = StepResult(counts={"published": count})
        run_step(lambda _: published, "publish", run_id, self.new("publish", run_id).settings)


@pytest.fixture
def nights(new_context: NewContext, lake: str, tmp_path: Path) -> Nights:
    """Run r1 has published 100 forms, 0 to 99."""
    nights = Nights(new_context, lake, tmp_path)
    nights.prepare("r1", range(100))
    nights.publish("r1")
    return nights


def test_a_cut_dump_leaves_no_trace_and_is_no_base_of_increments(
    nights: Nights, new_context: NewContext, lake: str
) -> None:
    before = [Tables(lake).version(table) for table in ("forms", "rejected_forms")]

    with pytest.raises(ContractError, match=r"55 forms, 45\.0% fewer than the 100 .* MAX_ROW_DROP=1") as raised:
        nights.prepare("r2", [*range(55), "hopeless, but"])

    assert raised.value.exit_code == 3 and "\n" not in str(raised.value)
    assert [Tables(lake).version(table) for table in ("forms", "rejected_forms")] == before
    assert orphans(lake, "forms") == orphans(lake, "rejected_forms") == set()
    assert new_context("x").ledger.entries("r2")[-1].message == str(raised.value)

    nights.prepare("r3", [99, "new"], last=2.0, mode="increment")
    assert len(forms(lake)) == 101 and forms(lake)["99"] == (10, 1, 2.0) and forms(lake)["98"] == (10, 1, 1.0)


def test_a_small_loss_is_let_in_and_told(nights: Nights, lake: str) -> None:
    nights.prepare("r2", range(95))
    nights.prepare("r3", range(99))

    tables = Tables(lake)
    sentence = "There are 95 forms, 5.0% fewer than the 100 that were live before."
    assert summarize(tables, "r2").warning == gather(tables, "r2").lost == sentence
    assert summarize(tables, "r1").warning == summarize(tables, "r3").warning == gather(tables, "r3").lost == ""


def test_losses_of_nights_that_published_nothing_add_up(nights: Nights, lake: str) -> None:
    nights.prepare("r2", range(92))
    for run_id, left in (("r3", 85), ("r4", 78)):
        with pytest.raises(ContractError, match="fewer than the 100 that were live"):
            nights.prepare(run_id, range(left))
    assert len(forms(lake)) == 92

    nights.publish("r2")
    nights.prepare("r5", range(85))
    assert summarize(Tables(lake), "r5").warning.startswith("There are 85 forms, 7.6% fewer than the 92")


def test_after_a_rollback_the_run_that_is_live_is_the_measure(nights: Nights, lake: str) -> None:
    nights.prepare("r2", range(50), max_row_drop=1)
    nights.publish("r2")
    nights.prepare("r3", range(49))
    Generations(Path(lake, "serving")).point(CURRENT, "r1")

    with pytest.raises(ContractError, match=r"49 forms, 51\.0% fewer than the 100"):
        nights.prepare("r4", range(49))


def test_a_lake_that_lost_its_serving_folder_remembers_what_was_live(
    nights: Nights, new_context: NewContext, lake: str
) -> None:
    shutil.rmtree(Path(lake, "serving"))
    rehearsal = new_context("publish", publish=False).settings
    run_step(lambda _: StepResult(message="Nothing goes live."), "publish", "rehearsal", rehearsal)
    with pytest.raises(ContractError, match=r"55 forms, 45\.0% fewer than the 100"):
        nights.prepare("r2", range(55))


def test_max_row_drop_lets_a_loss_in_that_is_meant(nights: Nights, lake: str) -> None:
    nights.prepare("r2", range(5), max_row_drop=1)
    assert len(forms(lake)) == 5
    assert summarize(Tables(lake), "r2").warning.startswith("There are 5 forms, 95.0% fewer")


def test_monitor_stops_an_increment_into_a_table_that_was_cut(nights: Nights) -> None:
    """As an earlier version left it, or whoever restored it by hand."""
    nights.prepare("r2", range(50), max_row_drop=1)
    with pytest.raises(ContractError, match=r"51 forms, 49\.0% fewer than the 100"):
        nights.prepare("r3", ["new"], mode="increment")


def test_features_are_compared_with_the_run_that_was_published_last(nights: Nights, lake: str) -> None:
    nights.prepare("r2", range(100), last=500.0)
    nights.prepare("r3", range(100))

    tables = Tables(lake)
    assert "feat_47: mean 1 to 500" in summarize(tables, "r2").warning
    assert summarize(tables, "r3").warning == ""
    drift = gather(tables, "r3").drift
    assert drift is not None and (drift.since, drift.moved) == ("r1", [])


def test_the_expected_number_of_lines_is_asked_for(nights: Nights, lake: str) -> None:
    before = Tables(lake).version("forms")
    with pytest.raises(ContractError, match="99 lines of data, and expected_rows is 100"):
        nights.prepare("r2", range(99), expected_rows=100)
    with pytest.raises(ContractError, match="2 lines of data, and expected_rows is 1"):
        nights.prepare("r3", ["a", "b"], expected_rows=1, mode="increment")
    assert Tables(lake).version("forms") == before and orphans(lake, "forms") == set()

    nights.prepare("r4", range(99), expected_rows=99)
    assert len(forms(lake)) == 99


def test_lines_are_checked_against_the_manifest_file_by_file(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    folder = tmp_path / "a dump, of ü%20#1"
    folder.mkdir()
    odd = dump(folder / "ä b%20[1]+#.csv", *(line(form_id, 1, 10) for form_id in range(3)))
    packed = gzip.compress("".join(f"{line(form_id, 1, 10)}\n" for form_id in range(2, 9)).encode())
    (folder / "b.csv.gz").write_bytes(packed)
    wide = "form_id,views,submissions," + ",".join(f"feat_{at:02}" for at in range(1, 48)) + "\n"
    (folder / "wide.csv").write_text(wide + "w,10,1," + ",".join(["0.0"] * 47) + "\n")
    files = {odd.name: 3, "b.csv.gz": 7, "wide.csv": 1}

    def state(**rows: int) -> None:
        facts = {name: {"rows": rows.get(name, count)} for name, count in files.items()}
        (folder / "_manifest.json").write_text(json.dumps({"rows": rows.get("all", 11), "files": facts}))

    for stated, sentence in (({"all": 12}, "states 12 .* and 11 were"), ({"wide.csv": 2}, "wide.csv, and 1 were")):
        state(**stated)
        with pytest.raises(ContractError, match=sentence):
            ingest(new_context, folder)
        assert not Tables(lake).exists("forms") and not list(Path(lake).rglob("forms/part-*"))

    state()
    assert ingest(new_context, folder).counts["forms"] == 10
