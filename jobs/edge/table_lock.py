"""A short lock of one table, held for a look and a commit. It goes with its holder, or a minute later in S3.

A run has the whole lake for itself (jobs.edge.claim) but for what streams refuse: they run through nights, and write
`rejected_forms` as nights do. All who write that table hold its lock meanwhile.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from jobs.edge.lock import only_holder
from jobs.edge.places import in_s3
from jobs.errors import BusyError

WAIT_SECONDS = 300.0
"""Longer than a replay marks its lines, and than a lease in S3 takes to expire."""
_LOOK_SECONDS = {False: 0.02, True: 0.5}  # in a folder, and in S3, where a look is a request


@contextmanager
def table_lock(lake: str, table: str, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock of a table. Raises BusyError if others hold it for `wait` seconds."""
    end = time.monotonic() + wait
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(_holding(lake, table))
                break
            except BusyError:
                if time.monotonic() >= end:
                    raise BusyError(_busy(lake, table, wait)) from None
                time.sleep(_LOOK_SECONDS[in_s3(lake)])
        yield


def _holding(lake: str, table: str) -> AbstractContextManager[object]:
    """The lock, held from the moment that this is entered. Raises BusyError if another holds it."""
    if not in_s3(lake):
        return only_holder(Path(lake) / f".{table}.lock", "")
    from jobs.edge.lease import S3Claims  # noqa: PLC0415 - boto3 takes a quarter of a second to import

    # A lease as that of a lake: renewed while it is held, and whoever loses it ends before another can write.
    return S3Claims(f"{lake}/_lock.{table}", keep=0.0).writing(uuid.uuid4().hex, table)


def _busy(lake: str, table: str, wait: float) -> str:
    return (
        f"Others have been writing the table {table} of {lake} for {wait:.0f} s: run again when they have ended. A "
        "stream that is started again goes on where it was."
    )
