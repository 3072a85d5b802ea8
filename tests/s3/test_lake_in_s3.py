"""Nights on a lake in S3 leave what they leave on a folder; a network that is lost leaves the last good night live.

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
from speed.stores.records import Score

STEPS = ("prepare", "monitor", "train", "promote", "score", "publish", "report")
# One process, so one JVM, for a night: as on EMR, `formcast step` once for each would give the same.
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


def night(lake: str, run: str, *steps: str, code: int = 0, **settings: str) -> str:
    """Run steps as the command line does; answers what they said on standard error."""
    env = {f"FORMCAST_{name.upper()}": value for name, value in settings.items()}
    env |= {"FORMCAST_LAKE": lake, "FORMCAST_FAMILIES": "linear", "FORMCAST_DRIVER_MEMORY": "2g"}
    done = subprocess.run(
        [sys.executable, "-c", NIGHT, run, *steps], env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr[-3000:]
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


def test_nights_in_s3_leave_what_they_leave_on_a_folder(
    aws: str, dumps: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULLED", str(tmp_path / "pulled"))
    monkeypatch.setenv("FORMCAST_LOGS", str(tmp_path / "logs"))
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    for dump in dumps:
        s3.upload_file(str(dump), "lake", f"dumps/{dump.name}")

    lakes = {
        str(tmp_path / "lake"): dumps,
        "s3://lake/below/this": ("s3://lake/dumps/sample.csv", "s3://lake/d*/so*"),
    }
    for lake, (every, some) in lakes.items():
        night(lake, "r1", *STEPS, input=str(every))
        night(lake, "r2", "prepare", "score", "publish", "report", input=str(some), mode="increment")
        night(lake, "r1", "rollback", "maintain")

    local, remote = (left(lake) for lake in lakes)
    assert len(local["predictions"]) == 9_968  # type: ignore[arg-type]
    assert local["kept"] == ["r2-v2", "r1-v1"]
    assert remote == local

    # The network is lost while the next night's generation is on its way.
    night("s3://lake/below/this", "r3", "prepare", "score", input="s3://lake/dumps/sample.csv")
    before = left("s3://lake/below/this")["live"]
    with cut_off_after(aws, 200_000) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        night("s3://lake/below/this", "r3", "publish", code=75)
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    assert left("s3://lake/below/this")["live"] == before == "r1-v1"

    # It lets go of the lake by itself; the same run then goes on.
    s3.delete_object(Bucket="lake", Key="below/this/_lease")
    night("s3://lake/below/this", "r3", "publish")
    assert str(left("s3://lake/below/this")["live"]).startswith("r3-v")


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
