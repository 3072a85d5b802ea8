"""A run claims the lake before its first write and gives it up at its end; meanwhile no other run writes.

In a folder the claim is the file `_lease`, changed only under a lock of the system's, which a step holds while it
works. In S3 it is the object of that name (jobs.edge.lease). A claim whose run shows no sign of life is taken over; a
step of that run, should it come back meanwhile, finds that another run has the lake and writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from jobs.edge.lock import is_held, only_holder
from jobs.edge.places import in_s3
from jobs.errors import BusyError
from jobs.settings import Settings

NAME, STEP_LOCK = "_lease", ".step.lock"
LOOK_SECONDS = 2.0

Result = TypeVar("Result")


class Lease(msgspec.Struct, frozen=True):
    """What a claim says. until, since: seconds since 1970; before `until` no other run may have the lake.

    token: of the step that is writing, "" between steps; step: its name. alive: of a lake on a disk, the file whose
    lock the run's own process holds: such a claim lasts as long as that process.
    """

    run_id: str
    token: str
    until: float
    since: float = 0.0
    step: str = ""
    alive: str = ""


def busy(found: Lease, run_id: str, lake: str, now: float) -> str:
    """What to say to `run_id`, which cannot have the lake that `found` claims."""
    left = f" in {max(1, round(found.until - now))} s" if found.until > now and not found.alive else ""
    if found.run_id == run_id:
        return (
            f"Another attempt of run {run_id} is writing in {lake}: wait until it has ended; one that was killed "
            f"lets go by itself{left}."
        )
    since = f" since {datetime.fromtimestamp(found.since, UTC):%Y-%m-%d %H:%M} UTC" if found.since else ""
    doing = f" (step {found.step})" if found.step else ""
    return (
        f"Run {found.run_id} has had the lake {lake}{since}{doing}: wait until it has ended, or give this run a lake "
        f"of its own. If that run was killed, the lake is free{left or ' at once'}."
    )


class Claims(Protocol):
    """The claim on one lake."""

    def take(self, run_id: str, alive: str = "") -> None:
        """Claim the lake for a run, or claim it for longer. Raises BusyError if it is another's."""

    def release(self, run_id: str) -> None:
        """Give the lake up. What another run has, or a step of this run that is still at work, stays as it is."""

    def writing(self, run_id: str, step: str) -> AbstractContextManager[None]:
        """Hold the lake for a step; afterwards its run keeps it if it had claimed it before. Raises BusyError."""


def claims_of(settings: Settings) -> Claims:
    """The claim on the lake of these settings."""
    if not in_s3(settings.lake):
        return FolderClaims(Path(settings.lake), settings.claim_keep)
    from jobs.edge.lease import S3Claims  # noqa: PLC0415 - boto3 takes a quarter of a second to import

    return S3Claims(settings.lake, settings.claim_keep)


@dataclass
class FolderClaims:
    """The claim on a lake in a folder. keep: as `Settings.claim_keep`. clock: seconds since 1970."""

    lake: Path
    keep: float
    clock: Callable[[], float] = time.time

    def take(self, run_id: str, alive: str = "") -> None:
        with self._alone(run_id):
            found = self._own(run_id)
            since = found.since if found else self.clock()
            self._write(Lease(run_id, "", self.clock() + self.keep, since, "", alive))

    def release(self, run_id: str) -> None:
        try:
            with self._alone(run_id):
                if (found := self._read()) and found.run_id == run_id:
                    (self.lake / NAME).unlink()
        except BusyError:
            return  # a step is still at work: the claim ends with its time

    @contextmanager
    def writing(self, run_id: str, step: str) -> Iterator[None]:
        with self._alone(run_id):
            claimed = self._own(run_id)
            lease = claimed or Lease(run_id, "", 0.0, self.clock())
            # Without a claim, the lock alone says that this step is at work, and ends with its process.
            self._write(msgspec.structs.replace(lease, token=step, step=step))
            ended = threading.Event()
            keeper = threading.Thread(target=self._renew, args=(lease, ended), daemon=True)
            if claimed:
                keeper.start()
            try:
                yield
            finally:
                ended.set()
                if claimed:
                    keeper.join()
                    self._write(msgspec.structs.replace(lease, until=self.clock() + self.keep))
                else:
                    (self.lake / NAME).unlink(missing_ok=True)

    def _renew(self, lease: Lease, ended: threading.Event) -> None:
        """While a step works: should its process be killed, its run still has `keep` seconds to come back."""
        while not ended.wait(self.keep / 10):
            self._write(msgspec.structs.replace(lease, token=lease.step, until=self.clock() + self.keep))

    @contextmanager
    def _alone(self, run_id: str) -> Iterator[None]:
        """While this lasts, no step is at work and nobody else changes the claim."""
        found = self._read() or Lease("another", "", 0.0)
        with only_holder(self.lake / STEP_LOCK, busy(found, run_id, str(self.lake), self.clock())):
            yield

    def _own(self, run_id: str) -> Lease | None:
        """The run's own claim, None if it has none. Raises BusyError if another run has one."""
        found = self._read()
        if found is None or not (is_held(self.lake / found.alive) if found.alive else found.until > self.clock()):
            return None
        if found.run_id != run_id:
            raise BusyError(busy(found, run_id, str(self.lake), self.clock()))
        return found

    def _read(self) -> Lease | None:
        try:
            return msgspec.json.decode((self.lake / NAME).read_bytes(), type=Lease)
        except FileNotFoundError:
            return None

    def _write(self, lease: Lease) -> None:
        part = self.lake / f".{NAME}"
        part.write_bytes(msgspec.json.encode(lease))
        part.replace(self.lake / NAME)


def wait_for(attempt: Callable[[], Result], seconds: float, tell: Callable[[str], None]) -> Result:
    """What `attempt` returns, tried again while it raises BusyError, for `seconds` at most.

    tell: is given each new sentence about who has the lake. Raises BusyError at the end of the time.
    """
    last, end = "", time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except BusyError as error:
            if (left := end - time.monotonic()) <= 0:
                waited = f" This run has waited for {seconds:.0f} s (FORMCAST_CLAIM_WAIT)." if seconds else ""
                raise BusyError(f"{error}{waited}") from None
            if str(error) != last:
                tell(last := str(error))
            time.sleep(min(LOOK_SECONDS, left))
