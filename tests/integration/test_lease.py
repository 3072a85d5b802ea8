"""One writer at a time on a lake in S3, whatever Airflow's pool says: raced, expired, killed, lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ReadTimeoutError

from jobs.edge.claim import NAME, Lease
from jobs.edge.lease import LOST, LeaseObject, S3Claims
from jobs.errors import BusyError, FormcastError
from speed.errors import StoreError

LAKE = "s3://lake/below"
CASES = json.loads((Path(__file__).parents[1] / "claims.json").read_text())


@pytest.fixture
def s3(aws: str) -> object:
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    return client


def said(s3) -> Lease:
    return msgspec.json.decode(s3.get_object(Bucket="lake", Key=f"below/{NAME}")["Body"].read(), type=Lease)


def test_of_two_runs_that_race_one_proceeds_and_the_other_is_told_which(s3) -> None:
    """Twenty races, on a lake that nobody had and on one whose holder was killed."""
    for race in range(20):
        lake = f"{LAKE}-{race}"
        if race % 2:
            LeaseObject(lake, clock=lambda: time.time() - 3600).take("killed", 60)
        start, ends = threading.Barrier(2), {}

        def attempt(run_id: str, lake: str = lake, start=start, ends=ends) -> None:
            place = LeaseObject(lake)
            start.wait()
            try:
                ends[run_id] = place.take(run_id, 60)[0].run_id
            except FormcastError as error:
                ends[run_id] = str(error)

        runs = [threading.Thread(target=attempt, args=(run_id,)) for run_id in ("one", "two")]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        (winner,) = (run_id for run_id, end in ends.items() if end == run_id)
        (told,) = (end for run_id, end in ends.items() if run_id != winner)
        assert told.startswith(f"Run {winner} has had the lake {lake}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_claims_follow_the_rules_of_airflow(s3, case: dict[str, Any]) -> None:
    """The same cases hold Airflow's claims: tests/dags/test_claims.py."""
    if case["lease"]:
        s3.put_object(Bucket="lake", Key=f"below/{NAME}", Body=msgspec.json.encode(case["lease"]))
    if case["taken"]:
        S3Claims(LAKE, 600).take("mine")
        lease = said(s3)
        assert (lease.run_id, lease.token, lease.step, lease.alive) == ("mine", "", "", "")
        assert lease.since == case["since"] if case["since"] else lease.since > 0
    else:
        with pytest.raises(BusyError):
            S3Claims(LAKE, 600).take("mine")
        assert said(s3) == msgspec.convert(case["lease"], Lease)


class Hasty(threading.Event):
    """Fifty times as fast: a lease of a minute is renewed within moments, and yet lost only after half a minute."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout and timeout / 50)


def test_a_lease_is_renewed_as_long_as_its_step_lives(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.edge.lease.threading", SimpleNamespace(Event=Hasty, Thread=threading.Thread))
    with S3Claims(LAKE, 0, seconds=60).writing("r1", "train"):
        first = said(s3)
        wait_for(lambda: said(s3).until > first.until)
        later = said(s3)
        assert (later.run_id, later.token) == (first.run_id, first.token)
        assert later.until > time.time()
        with pytest.raises(BusyError, match=r"^Run r1 has had .* \(step train\)"):
            LeaseObject(LAKE).take("r2", 60)


def test_a_killed_holder_is_out_after_its_time(s3) -> None:
    script = "from jobs.edge.lease import S3Claims\n"
    script += f"with S3Claims({LAKE!r}, 0, seconds=60).writing('r1', 'train'):\n input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, env=os.environ)
    try:
        wait_for(lambda: said_by(s3) == "r1")
        child.kill()
        with pytest.raises(FormcastError, match=r"free in \d+ s"):
            LeaseObject(LAKE).take("r2", 60)
        later = said(s3).until + 1
        assert LeaseObject(LAKE, clock=lambda: later).take("r2", 60)[0].run_id == "r2"
    finally:
        child.kill()
        child.wait()


class Lossy:
    """A client whose next write is done, but its answer is lost: then it is retried, or given up."""

    def __init__(self, client) -> None:
        self.get_object, self._put, self.lost = client.get_object, client.put_object, ""

    def put_object(self, **request):
        answer, lost, self.lost = self._put(**request), self.lost, ""
        if lost == "given up":
            raise ReadTimeoutError(endpoint_url="s3")
        return self._put(**request) if lost == "retried" else answer


def test_a_write_whose_answer_was_lost_is_no_other_run(s3) -> None:
    place = LeaseObject(LAKE)
    place._client = client = Lossy(place._client)
    client.lost = "retried"
    lease, version = place.take("r1", 60)
    client.lost = "given up"
    with pytest.raises(StoreError, match="cannot be reached"):
        place.put(msgspec.structs.replace(lease, until=lease.until + 1), version, lease.token)
    later = msgspec.structs.replace(lease, until=lease.until + 2)
    assert place.put(later, version, lease.token)
    assert said(s3) == later
    s3.put_object(Bucket="lake", Key=f"below/{NAME}", Body=msgspec.json.encode(Lease("r2", "t", 4e9)))
    assert place.put(later, version, lease.token) is None


@pytest.mark.parametrize("how", ["taken", "unreachable", "hanging"])
def test_a_holder_that_lost_its_lease_ends_before_it_writes_again(s3, how: str, tmp_path: Path) -> None:
    """Taken: its clock was wrong or it slept. Else its network is gone, and half of its time with it."""
    written = tmp_path / "written"
    script = f"""
import sys, time, pathlib
from jobs.edge import lease
with lease.S3Claims({LAKE!r}, 0, seconds=6).writing("r1", "train"):
    def unreachable(*_): raise lease.SpeedError("the network is gone")
    def hanging(*_): time.sleep(120)
    lease.LeaseObject.put = dict(taken=lease.LeaseObject.put, unreachable=unreachable, hanging=hanging)[{how!r}]
    print("held", flush=True)
    time.sleep(120)
    pathlib.Path({str(written)!r}).touch()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        if how == "taken":
            s3.put_object(Bucket="lake", Key=f"below/{NAME}", Body=msgspec.json.encode(Lease("r2", "t", 4e9)))
        _, told = child.communicate(timeout=100)
    finally:
        child.kill()
    assert child.returncode == LOST
    assert "formcast: The lease on s3://lake/below is lost" in told
    assert not written.exists()


def said_by(s3) -> str:
    found = s3.list_objects_v2(Bucket="lake", Prefix=f"below/{NAME}")
    return said(s3).run_id if found["KeyCount"] else ""


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in 30 s")
