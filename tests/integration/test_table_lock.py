"""Who writes `rejected_forms` at once with others loses nothing and doubles nothing, on a disk and in S3."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from jobs.edge.table_lock import table_lock
from jobs.errors import BusyError
from jobs.settings import ROOT

ROUNDS = 12
# Each in a process of its own: while delta-rs waits for S3, it lets no other thread of its process work.
COMMON = """
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
import pyarrow as pa
from jobs.edge.ingest_plan import IngestPlan
from jobs.edge.parts import PartWriter
from jobs.edge.rejected import REJECTED, commit_rejected, mark
from jobs.edge.replayable import Waiting
from jobs.edge.tables import Tables
from jobs.schemas import REJECTED_FORMS
from jobs.stream.batch import Outcome, quarantine
lake, rounds = sys.argv[1], int(sys.argv[2])
tables = Tables(lake)
now = datetime(2026, 11, 24, tzinfo=UTC)

def part(partition, *lines):
    row = {"reasons": ["wrong_field_count"], "source_file": "s", "columns": "c", "rejected_at": now}
    schema = pa.schema([column for column in REJECTED_FORMS if column.name != "run_id"])
    writer = PartWriter(tables.path(REJECTED), f"run_id={partition}")
    writer.write(pa.Table.from_pylist([row | {"line": line} for line in lines], schema=schema))
    return writer.close()

def begin():
    print("ready", flush=True)
    sys.stdin.readline()
"""
STREAM = """
begin()
for batch in range(rounds):
    quarantine(tables, Outcome(parts=[part("stream-s", f"s{batch}")]), "stream-s", "one", batch)
"""
NIGHT = """
begin()
for night in range(rounds):
    run = f"r{night % 3}"  # a retry replaces what its run has left
    plan = IngestPlan(run, now, "", tables.path(REJECTED), ())
    commit_rejected(SimpleNamespace(tables=tables), plan, [part(run, f"{run}-a", f"{run}-b")])
    lines = pa.table({"line": [f"{run}-a"] * 2, "source_file": ["s"] * 2})
    condition = "replayed_by is null and not array_contains(reasons, 'x')"
    mark(tables, lines, f"p{night}", Waiting(0, condition, {}, (run,), ()))
"""
MAKE = "tables.create(REJECTED)"
SHOW = (
    "import json; print(json.dumps(tables.query('select line, run_id, replayed_by from rejected_forms', REJECTED)))"
)


def python(lake: str, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMON + code, lake, str(ROUNDS)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def output(lake: str, code: str) -> str:
    with python(lake, code) as process:
        return process.communicate()[0]


def race(lake: str, *codes: str) -> list[dict[str, str | None]]:
    """What the table holds after all have written it at once."""
    output(lake, MAKE)
    with ExitStack() as running:
        processes = [running.enter_context(python(lake, code)) for code in codes]
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in processes] == [0] * len(codes)
    return json.loads(output(lake, SHOW))


@pytest.fixture(params=["folder", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A lake."""
    if request.param == "folder":
        return str(tmp_path / "lake")
    request.getfixturevalue("aws")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    return "s3://lake/below"


def test_of_writers_at_once_nothing_is_lost_or_doubled(place: str) -> None:
    rows = race(place, STREAM, NIGHT, STREAM.replace("stream-s", "stream-t").replace('"one"', '"two"'))

    streamed = sorted((row["run_id"], row["line"]) for row in rows if str(row["run_id"]).startswith("stream-"))
    assert streamed == sorted((f"stream-{name}", f"s{batch}") for name in "st" for batch in range(ROUNDS))
    nightly = {row["line"]: row["replayed_by"] for row in rows if not str(row["run_id"]).startswith("stream-")}
    last = {f"r{night % 3}": f"p{night}" for night in range(ROUNDS)}
    assert nightly == {f"{run}-a": by for run, by in last.items()} | {f"{run}-b": None for run in last}
    assert len(rows) == 2 * ROUNDS + 6


def test_who_waits_too_long_is_told(place: str) -> None:
    with table_lock(place, "rejected_forms"):
        with table_lock(place, "metrics", wait=0):  # a lock of its own
            pass
        began = time.monotonic()
        with (
            pytest.raises(BusyError, match="Others have been writing the table rejected_forms of"),
            table_lock(place, "rejected_forms", wait=0.2),
        ):
            pass
        assert time.monotonic() - began >= 0.2
    with table_lock(place, "rejected_forms", wait=0):
        pass


def test_who_waits_gets_the_lock_as_soon_as_it_is_free(place: str) -> None:
    got = threading.Event()

    def take() -> None:
        with table_lock(place, "rejected_forms", wait=30):
            got.set()

    with table_lock(place, "rejected_forms"):
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not got.wait(0.2)
    waiting.join()
    assert got.is_set()


def test_the_lock_of_a_killed_holder_goes_with_it(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    code = "from jobs.edge.table_lock import table_lock\nwith table_lock(lake, REJECTED):\n begin()"
    with python(lake, code) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
        holder.kill()
    with table_lock(lake, "rejected_forms", wait=0):
        pass
    assert [path.name for path in Path(lake).iterdir()] == [".rejected_forms.lock"]
