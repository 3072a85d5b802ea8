"""The claim on a lake in S3, whichever machine a run is on: a lease that expires, held for a run.

The object `_lease` says which run may write, until when, and whether one of its steps is writing now. It changes only
by conditional writes, so of two that want it one gets it. Between its steps a run keeps the lake for a while.
A holder that cannot renew its lease ends itself before anybody else can get it: that is the fence.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError

from jobs.edge.claim import NAME, Lease, busy
from jobs.errors import BusyError, FormcastError
from speed.errors import SpeedError
from speed.stores.aws import aws_client, plain_errors

SECONDS = 60.0
"""An active lease expires so long after its last renewal; half of it before, a holder that could not renew ends."""
LOST = 75
_MOVED = {"ConditionalRequestConflict", "PreconditionFailed"}
_NOT_THERE = {"404", "NoSuchKey"}


@dataclass
class LeaseObject:
    """The lease of a lake in S3. clock: seconds since 1970."""

    lake: str
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        parts = urlsplit(self.lake)
        prefix = parts.path.strip("/")
        self._where = {"Bucket": parts.netloc, "Key": f"{prefix}/{NAME}" if prefix else NAME}
        self._client = aws_client("s3")  # impatient: a renewal that hangs would outlast the lease

    def take(self, run_id: str, seconds: float, step: str = "") -> tuple[Lease, str]:
        """Get the lease for a step of a run; it and its version. Raises BusyError if another has it."""
        found, version = self.read()
        if found is not None and found.until > self.clock() and (found.token or found.run_id != run_id):
            raise BusyError(busy(found, run_id, self.lake, self.clock()))
        since = found.since if found is not None and found.run_id == run_id else self.clock()
        mine = Lease(run_id, uuid.uuid4().hex, self.clock() + seconds, since, step)
        taken = self.put(mine, version, mine.token)
        if taken is None:
            raise BusyError(busy(self.read()[0] or mine, run_id, self.lake, self.clock()))
        return mine, taken

    def put(self, lease: Lease, version: str | None, token: str) -> str | None:
        """Write the lease unless another moved it on from `version` (None: there was none); its new version, or None.

        token: tells that what is there is ours: a write whose answer was lost has moved it on, not another run.
        """
        written = self._put(lease, version)
        if written is None:
            found, there = self.read()
            if found == lease:
                return there
            if found is not None and found.token == token:
                return self._put(lease, there)
        return written

    def _put(self, lease: Lease, version: str | None) -> str | None:
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        with plain_errors(f"{self.lake}/{NAME}"):
            try:
                answer = self._client.put_object(**self._where, Body=msgspec.json.encode(lease), **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] in _MOVED | _NOT_THERE:
                    return None
                raise
        return str(answer["ETag"])

    def read(self) -> tuple[Lease | None, str | None]:
        with plain_errors(f"{self.lake}/{NAME}"):
            try:
                answer: Any = self._client.get_object(**self._where)
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return None, None
                raise
            return msgspec.json.decode(answer["Body"].read(), type=Lease), str(answer["ETag"])


@dataclass
class S3Claims:
    """The claim on a lake in S3. keep: seconds for which a run keeps it after its last sign of life between steps."""

    lake: str
    keep: float
    seconds: float = SECONDS

    def take(self, run_id: str, alive: str = "") -> None:
        """Claim the lake for a run, or claim it for longer. Raises BusyError if it is another's."""
        with _plainly():
            place = LeaseObject(self.lake)
            lease, version = place.take(run_id, self.seconds)
            between = msgspec.structs.replace(lease, token="", until=place.clock() + self.keep)
            place.put(between, version, lease.token)

    def release(self, run_id: str) -> None:
        """Give the lake up. What another run has, or a step of this run that is still at work, stays as it is."""
        with _plainly():
            place = LeaseObject(self.lake)
            found, version = place.read()
            if found is not None and found.run_id == run_id and not found.token:
                place.put(msgspec.structs.replace(found, until=0.0), version, found.token)

    @contextmanager
    def writing(self, run_id: str, step: str) -> Iterator[None]:
        """Hold the lake for a step; afterwards its run keeps it if it had claimed it before. Raises BusyError."""
        with _plainly():
            place = LeaseObject(self.lake)
            found, _ = place.read()
            is_claimed = found is not None and found.run_id == run_id and found.until > place.clock()
            lease, version = place.take(run_id, self.seconds, step)
        keeper = _Keeper(place, lease, version, self.seconds)
        keeper.start()
        try:
            yield
        finally:
            keeper.end(self.keep if is_claimed else 0.0)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except SpeedError as error:
        raise FormcastError(str(error)) from error


class _Keeper:
    """Renews a lease in time, and ends the process where it cannot: two threads, since a renewal may hang."""

    def __init__(self, place: LeaseObject, lease: Lease, version: str, seconds: float) -> None:
        self._place, self._lease, self._version, self._seconds = place, lease, version, seconds
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._renew, self._watch)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 6):
            renewed = msgspec.structs.replace(self._lease, until=self._place.clock() + self._seconds)
            try:
                version = self._place.put(renewed, self._version, self._lease.token)
            except SpeedError as error:
                print(f"formcast: The lease was not renewed: {error}", file=sys.stderr)
                continue
            if version is None:
                self._give_up("another run has taken it")
            else:
                self._lease, self._version = renewed, version

    def _watch(self) -> None:
        """Whatever a renewal waits for: half of the time before others can have the lease, this process ends."""
        while not self._ended.wait(min(1.0, self._seconds / 12)):
            if self._lease.until - self._place.clock() < self._seconds / 2:
                self._give_up("it could not be renewed in time")

    def end(self, reserve: float) -> None:
        """Let go, and keep the lake for the run's next step for `reserve` seconds."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        until = self._place.clock() + reserve if reserve else 0.0
        let_go = msgspec.structs.replace(self._lease, token="", step="", until=until)
        try:
            self._place.put(let_go, self._version, self._lease.token)
        except SpeedError as error:
            print(f"formcast: The lease expires by itself in {self._seconds:.0f} s: {error}", file=sys.stderr)

    def _give_up(self, why: str) -> None:
        """Nothing more may be written. Nobody below could be trusted to see an exception in time."""
        if self._ended.is_set():
            return
        sentence = f"formcast: The lease on {self._place.lake} is lost, {why}: the step ends before it harms a table."
        print(sentence, file=sys.stderr, flush=True)
        os._exit(LOST)
