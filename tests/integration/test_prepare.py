"""prepare on real files and a real lake, judged by a naive reading of the same lines."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.edge.context import StepContext
from jobs.edge.ledger import Entry
from jobs.edge.tables import Tables
from jobs.errors import ContractError, FormcastError, MissingError
from jobs.runner import run_step
from jobs.steps.prepare import prepare
from jobs.steps.replay import replay
from jobs.transforms.explain import explain_line
from jobs.transforms.layout import WIDE_COLUMNS, Layout
from speed.contract import FEATURES, N_FEATURES
from speed.reasons import Form
from tests.kills import killed_midway

pytestmark = pytest.mark.usefixtures("spark")
NewContext = Callable[..., StepContext]
ZEROS = "-".join(["0.0"] * (N_FEATURES - 1))


def line(form_id: object, submissions: int, views: int, last: float = 1.0) -> str:
    return f"{form_id},{submissions},{views},{ZEROS}-{last}"


def ingest(new: NewContext, path: Path, run_id: str = "r1", step: Any = prepare, **settings: Any) -> Entry:
    context = new("prepare", run_id, input=str(path), **settings)
    return run_step(step, "prepare", run_id, context.settings)


def rows(lake: str, table: str, *without: str) -> list[dict[str, Any]]:
    """A table whole, in an order of its own, less the columns that no two runs share."""
    data = Tables(lake).delta(table).to_pyarrow_table().to_pylist()
    kept = [{name: value for name, value in row.items() if name not in without} for row in data]
    return sorted(kept, key=lambda row: (row.get("form_id") or "", row.get("line") or "", str(row)))


def oracle(lines: list[bytes], layout: Layout) -> tuple[list[dict[str, Any]], int, int]:
    """Forms, rejected and duplicates by one loop over the lines: of a form's lines the one with most views."""
    best: dict[str, Form] = {}
    rejected = duplicates = 0
    for raw in lines:
        parsed = explain_line(raw, layout)
        if not isinstance(parsed, Form):
            rejected += 1
            continue
        duplicates += parsed.form_id in best
        old = best.get(parsed.form_id, parsed)
        best[parsed.form_id] = max(old, parsed, key=lambda form: (form.views, form.submissions))
    forms = [
        {"form_id": f.form_id, "views": f.views, "submissions": f.submissions}
        | {"completion_rate": f.submissions / f.views if f.views else None}
        | dict(zip(FEATURES, f.features, strict=True))
        for f in best.values()
    ]
    return sorted(forms, key=lambda form: form["form_id"]), rejected, duplicates


@pytest.mark.parametrize("layout", ["packed", "wide"])
def test_prepare_equals_a_naive_loop(layout: str, new_context: NewContext, lake: str, tmp_path: Path) -> None:
    from jobs.sample.write import plan_sample, write_sample

    folder = tmp_path / "in"
    folder.mkdir()
    write_sample(plan_sample(3_000, 5, 0.02, 0.05), layout, folder / "a.csv.gz")
    first = gzip.decompress((folder / "a.csv.gz").read_bytes()).split(b"\n")
    # A second file repeats forms of the first: with more views, fewer views, and the very same line.
    more = [
        first[1],
        b"form-1,0,0," + first[1].split(b",", 3)[3],
        b"\xff\xfe",
        b"b" * 1_000_000,
        b"",
        first[2] + b"\r",
    ]
    if layout == "wide":
        more = [first[0], *more]
    (folder / "b.csv").write_bytes(b"\n".join(more) + b"\n")
    (folder / "_SUCCESS").touch()

    entry = ingest(new_context, folder)

    skipped = 1 if layout == "wide" else 0
    wide = Layout(tuple(first[0].decode().split(",")))
    expected, rejected, duplicates = oracle(
        first[skipped:-1] + more[skipped:], wide if layout == "wide" else Layout()
    )
    assert rows(lake, "forms", "run_id", "ingested_at") == expected
    read = len(first) - 1 - skipped + len(more) - skipped
    counted = {"read": read, "rejected": rejected, "duplicates": duplicates}
    counted |= {"accepted": len(expected), "forms": len(expected)}
    assert {name: entry.counts[name] for name in counted} == counted
    assert len(rows(lake, "rejected_forms")) == rejected + duplicates
    assert {type(row["line"]) for row in rows(lake, "rejected_forms")} == {str}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.csv", b"", "is empty"),
        ("header.csv", ",".join(WIDE_COLUMNS).encode() + b"\n", "a header and no line of data"),
        ("binary.csv", bytes(range(256)) * 50, "is not text"),
        ("semicolons.csv", b"1;2;5;0.0-0.0\n" * 50, "neither a wide header nor packed lines"),
        (
            "swapped.csv",
            "\n".join(line(i, 9, 5) for i in range(50)).encode(),
            "--columns form_id,views,submissions,features",
        ),
        ("cut.csv.gz", gzip.compress(line(1, 1, 5).encode())[:30], "damaged or cut short"),
        (
            "late.csv.gz",
            gzip.compress("\n".join(line(os.urandom(9).hex(), 1, 5) for _ in range(9_000)).encode())[:-9],
            "damaged",
        ),
        ("mixed.csv", (line(1, 1, 5) + "\n" + "1,5,1," + "0.0," * 46 + "1.0\n").encode() * 9, "break the contract"),
        ("x.parquet", b"PAR1", "is a .parquet file"),
    ],
)
def test_prepare_refuses_a_broken_dump_and_writes_nothing(
    name: str, content: bytes, sentence: str, *, new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ContractError, match=sentence) as raised:
        ingest(new_context, tmp_path / name)

    assert "\n" not in str(raised.value)
    assert not list(Path(lake, "forms").rglob("*.parquet")) and not list(
        Path(lake, "rejected_forms").rglob("*.parquet")
    )


def test_prepare_names_an_input_that_is_not_there_and_so_does_the_report(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    with pytest.raises(MissingError, match="no file is there"):
        ingest(new_context, tmp_path / "none-*.csv")
    assert "no file is there" in Path(lake, "reports", "latest.html").read_text()


def test_increment_changes_only_what_grew(new_context: NewContext, lake: str, tmp_path: Path) -> None:
    full, change = tmp_path / "full.csv", tmp_path / "change.csv"
    full.write_text("\n".join([line("old", 1, 10), line("grows", 1, 10), line("stale", 5, 50)]))
    change.write_text("\n".join([line("grows", 2, 20, 7.0), line("stale", 1, 5), line("new", 0, 0)]))

    ingest(new_context, full, "r1")
    for run_id in ("r2", "r3"):  # the same increment twice changes nothing the second time
        entry = ingest(new_context, change, run_id, mode="increment")

        found = {row["form_id"]: (row["views"], row["submissions"], row["feat_47"]) for row in rows(lake, "forms")}
        assert found == {"old": (10, 1, 1.0), "grows": (20, 2, 7.0), "stale": (50, 5, 1.0), "new": (0, 0, 1.0)}
        assert {name: entry.counts[name] for name in ("read", "accepted", "rejected", "duplicates", "forms")} == {
            "read": 3, "accepted": 2, "rejected": 0, "duplicates": 1, "forms": 4
        }  # fmt: skip
    stale = [row for row in rows(lake, "rejected_forms") if row["run_id"] == "r2"]
    assert [(row["line"], row["reasons"]) for row in stale] == [(line("stale", 1, 5), ["superseded_duplicate"])]


def test_replay_ingests_what_was_refused_and_is_idempotent(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.csv"
    good = [line(i, 1, 5) for i in range(40)]
    dump.write_text("\n".join([*good, line("swapped", 9, 2), "hopeless"]))
    ingest(new_context, dump, max_reject_fraction=0.1)

    again = partial(replay, reason="")
    first = ingest(new_context, dump, "r2", again, columns="form_id,views,submissions,features")
    second = ingest(new_context, dump, "r3", again, columns="form_id,views,submissions,features")

    assert (first.counts["accepted"], first.counts["rejected"], first.counts["forms"]) == (1, 1, 41)
    assert (second.counts["accepted"], second.counts["forms"]) == (0, 41)
    marks = {row["line"]: row["replayed_by"] for row in rows(lake, "rejected_forms")}
    assert marks == {line("swapped", 9, 2): "r2", "hopeless": None}


def test_a_failed_step_is_in_the_ledger_and_a_done_one_is_not_done_again(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.csv"
    dump.write_text("hopeless, but-" + "-" * 50 + ",1,2\n")
    with pytest.raises(FormcastError):
        ingest(new_context, dump)
    dump.write_text(line("a", 1, 5))

    first, second = ingest(new_context, dump), ingest(new_context, dump)

    assert first == second
    assert [row["status"] for row in rows(lake, "run_ledger")] == ["failed", "succeeded"]
    assert Tables(lake).delta("forms").version() == 1


def test_a_killed_prepare_leaves_after_its_retry_what_one_run_leaves(
    new_context: NewContext, lake: str, tmp_path: Path
) -> None:
    from jobs.sample.write import plan_sample, write_sample

    dump = tmp_path / "dump.csv"
    write_sample(plan_sample(40_000, 3, 0.01, 0.02), "packed", dump)
    environment = os.environ | {"FORMCAST_INPUT": str(dump), "FORMCAST_LOGS": str(tmp_path / "logs")}

    def start(lake: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jobs", "step", "prepare", "--run-id", "r1", "--lake", lake]
        return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)

    # Files are being written, none is committed yet.
    killed = killed_midway(
        (str(tmp_path / f"killed-{number}") for number in range(5)),
        start,
        lambda lake: list(Path(lake).rglob("part-*.parquet")),
        lambda lake: Tables(lake).exists("forms") and Tables(lake).version("forms").rows,
    )

    ingest(new_context, dump, lake=killed)
    ingest(new_context, dump)

    for table in ("forms", "rejected_forms"):
        moment = ("ingested_at", "rejected_at")
        assert rows(killed, table, *moment) == rows(lake, table, *moment)
