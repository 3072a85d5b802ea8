"""Nights in S3 and DynamoDB leave what they leave on a folder; a lost network leaves the last good night live.

Beside the usual tests, since it needs Spark's jars for S3 (`make test-s3`).
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import msgspec
import pyarrow as pa
import pytest

from jobs.edge.tables import Tables
from jobs.sample.write import plan_sample, write_sample
from jobs.settings import ROOT
from speed.sources import generations_below
from speed.stores.dynamodb import DynamoGenerations
from speed.stores.records import Score

STEPS = ("prepare", "monitor", "train", "promote", "score", "publish", "report")
# One process, so one JVM, for a night: as on EMR, `formcast step` once for each would give the same.
EVERY = "s3://lake/dumps/sample.csv"
NIGHT = """
import sys
from jobs.commands.options import settings_with
from jobs.runner import run_step
from jobs.steps import load_step
from jobs.steps.maintain import maintain
from jobs.steps.rollback import rollback
run, *steps = sys.argv[1:]
for name in steps:
    if name == "maintain":
        run_step(maintain, name, "upkeep", settings_with())
    elif name == "rollback":
        run_step(lambda context: rollback(context, to=run), name, "back", settings_with())
    else:
        run_step(load_step(name), name, run, settings_with())
"""


@pytest.fixture
def dumps(tmp_path: Path) -> tuple[Path, Path]:
    """A dump of all forms, and one of new and changed ones."""
    every, some, new = ROOT / "data" / "sample.csv", tmp_path / "some.csv", tmp_path / "new.csv"
    write_sample(plan_sample(100, seed=2, broken=0, duplicates=0), "packed", new)
    seen = [line.split(b",") for line in every.read_bytes().splitlines()[:200]]
    changed = [b",".join([id_, submissions, views + b"0", features]) for id_, submissions, views, features in seen]
    some.write_bytes(new.read_bytes() + b"\n".join(changed) + b"\n")
    return every, some


def night(lake: str, run: str, *steps: str, fails: bool = False, **settings: str) -> str:
    """Run steps as the command line does; answers what they said on standard error."""
    env = {f"FORMCAST_{name.upper()}": value for name, value in settings.items()}
    env |= {"FORMCAST_LAKE": lake, "FORMCAST_FAMILIES": "linear", "FORMCAST_DRIVER_MEMORY": "2g"}
    done = subprocess.run(
        [sys.executable, "-c", NIGHT, run, *steps], env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == fails, done.stderr[-3000:]
    return done.stderr


def left(lake: str) -> dict[str, object]:
    """All that may not differ between two lakes: rows without the times at which they were written."""
    tables = Tables(lake)
    times = {"forms": ["ingested_at"], "predictions": ["scored_at"], "rejected_forms": ["rejected_at", "source_file"]}
    found: dict[str, object] = {}
    for name, dropped in times.items():
        table = pa.table(tables.delta(name).to_pyarrow_table()).drop_columns(dropped)
        order = "line" if name == "rejected_forms" else "form_id"
        found[name] = table.sort_by(order).to_pylist()
    generations = generations_below(f"{lake}/serving", Path(os.environ["PULLED"]))
    with closing(generations.open(generations.live_name())) as generation:
        ids = [row["form_id"] for row in found["predictions"]]  # type: ignore[attr-defined]
        found["served"] = generation.store.get_many(ids)
        found["live"], found["model"] = generation.manifest.generation, generation.papers["metrics"]
    found["kept"] = [manifest.generation for manifest in generations.all()]
    return {name: rounded(value) for name, value in found.items()}


def rounded(value: object) -> object:
    """Sums of doubles are added up in any order."""
    if isinstance(value, Score):
        return rounded(msgspec.structs.asdict(value))
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value


def items(table: str) -> set[tuple[str, int]]:
    """The keys of all items of forms, each with the number of the generation that it came with."""
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    keys = {(item["form_id"]["S"], int(item["seq"]["N"])) for page in pages for item in page["Items"]}
    return {key for key in keys if not key[0].startswith("(")}


def test_nights_on_aws_leave_what_they_leave_on_a_folder(
    aws: str, dynamodb_table: str, dumps: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULLED", str(tmp_path / "pulled"))
    monkeypatch.setenv("FORMCAST_LOGS", str(tmp_path / "logs"))
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    for dump in dumps:
        s3.upload_file(str(dump), "lake", f"dumps/{dump.name}")

    here, there = str(tmp_path / "lake"), "s3://lake/below/this"
    on_aws = partial(night, there, dynamodb_table=dynamodb_table)
    for run, (every, some) in ((partial(night, here), dumps), (on_aws, (EVERY, "s3://lake/d*/so*"))):
        run("r1", *STEPS, input=str(every))
        run("r2", "prepare", "score", "publish", "report", input=str(some), mode="increment")
        run("r1", "rollback", "maintain")

    local, remote = left(here), left(there)
    assert len(local["predictions"]) == 9_968  # type: ignore[arg-type]
    assert local["kept"] == ["r2-v2", "r1-v1"]
    assert remote == local
    assert_served_alike(there, dynamodb_table, tmp_path / "pulled")
    first = {key for key in items(dynamodb_table) if key[1] == 1}
    assert len(first) == 9_968  # every form, by the first night; then what the increment changed
    assert 0 < len(items(dynamodb_table) - first) <= 300

    # The network is lost while the next night's generation is on its way.
    on_aws("r3", "prepare", "score", input=EVERY)
    before = left(there)["live"]
    with cut_off_after(aws, 200_000) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        said = on_aws("r3", "publish", fails=True)
        assert "cannot be reached" in said or "The lease on s3://lake/below/this is lost" in said  # what comes first
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    assert left(there)["live"] == before == "r1-v1"

    # It lets go of the lake by itself; the same run then goes on, and one that changes nothing writes no item.
    s3.delete_object(Bucket="lake", Key="below/this/_lease")
    on_aws("r3", "publish", "report")  # its last step, which lets go of the lake
    written = items(dynamodb_table)
    on_aws("r4", "prepare", "score", "publish", input=EVERY)
    assert items(dynamodb_table) == written
    assert_served_alike(there, dynamodb_table, tmp_path / "pulled")


def assert_served_alike(lake: str, table: str, pulled: Path) -> None:
    """DynamoDB has the generations of the lake, live the same, and every 250th form as the lake's own store has it.

    One after the other: the stand-in looks through all items for each.
    """
    folders = generations_below(f"{lake}/serving", pulled)
    tables = DynamoGenerations(table, folders.folder)
    assert tables.live_name() == folders.live_name()
    ids = sorted({form_id for form_id, _ in items(table)})[::250]
    for manifest in folders.all():
        with (
            closing(folders.open(manifest.generation)) as of_lake,
            closing(tables.open(manifest.generation)) as of_table,
        ):
            assert [of_table.store.get(form_id) for form_id in ids] == [of_lake.store.get(form_id) for form_id in ids]


class cut_off_after:  # noqa: N801 - a context manager reads as a verb
    """A way to a server that ends, for good, when so many bytes were sent there."""

    def __init__(self, server: str, sent: int) -> None:
        parts = urlsplit(server)
        self._there, self._left = (parts.hostname or "", parts.port or 0), sent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    def __enter__(self) -> str:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._there)
                self._open += [here, there]
                threading.Thread(target=self._pass_on, args=(here, there), daemon=True).start()

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        with selectors.DefaultSelector() as ready, suppress(OSError, ValueError):
            ready.register(here, selectors.EVENT_READ, there)
            ready.register(there, selectors.EVENT_READ, here)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    self._left -= len(data) if key.fileobj is here else 0
                    if self._left < 0:
                        self._cut()
                    if not data:
                        return
                    key.data.sendall(data)

    def _cut(self) -> None:
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the person's who runs this."""
    for name in [name for name in os.environ if name.startswith("FORMCAST_")]:
        monkeypatch.delenv(name)
    yield
