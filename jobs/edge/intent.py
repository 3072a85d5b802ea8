"""The intent of a rollback, a file: until it is gone, predictions and serving may be of different runs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from jobs.edge.files import LakeFiles
from speed.stores.records import Manifest

FILE = "serving/ROLLBACK"


class Intent(msgspec.Struct, frozen=True):
    """Which run to go back to, since when, and the generation that was live then; None if nobody knows."""

    run_id: str
    at: datetime | None = None
    live: str | None = None

    def is_outlived_by(self, live: Manifest) -> bool:
        """Whether what is live now went live after this, by a publish: to go back would undo that."""
        if self.live is not None:  # by name, since two machines may not agree about the time
            return live.generation != self.live and live.run_id != self.run_id
        return self.at is not None and live.created_at > self.at


def write_intent(files: LakeFiles, run_id: str, live: Manifest | None) -> None:
    """live: what is current as the rollback begins."""
    intent = Intent(run_id, datetime.now(UTC), live.generation if live else None)
    files.write(FILE, msgspec.json.encode(intent))


def read_intent(files: LakeFiles) -> Intent | None:
    """None without one. Earlier versions wrote the run's name and nothing else."""
    content = files.read(FILE)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Intent)
    except msgspec.DecodeError:
        return Intent(content.decode(), files.written(FILE))
