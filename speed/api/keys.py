"""API keys: `fc_<id>_<secret>`. Of a key only its SHA-256 is kept; 256 random bits need no slow hash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec

from speed.errors import SpeedError

Scope = Literal["read", "score", "retrain"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

log = logging.getLogger("formcast.keys")


class Key(msgspec.Struct, frozen=True):
    """id: the public part, which logs may show. sha256: of the whole key, in hex."""

    id: str
    sha256: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    note: str = ""


class Keys:
    """The keys of a file. `look` reads it anew where it changed; `verify` never touches the disk."""

    def __init__(self, path: Path) -> None:
        """Raises SpeedError where the file is there and cannot be read."""
        self.path = path
        self._seen = self._failed = _stamp(path)
        self._by_id = {key.id: key for key in read_keys(path)}

    def __len__(self) -> int:
        return len(self._by_id)

    def verify(self, presented: str) -> Key | None:
        """The key that was presented, or None. Takes as long for a wrong secret as for a right one."""
        key = self._by_id.get(presented[3 : presented.find("_", 3)]) if presented.startswith("fc_") else None
        digest = _digest(presented)
        return key if hmac.compare_digest(digest, key.sha256 if key else "") else None

    def look(self) -> None:
        """Take over the file's keys where it changed. One that cannot be read leaves the keys as they are."""
        stamp = _stamp(self.path)
        if stamp == self._seen:
            return
        try:
            self._by_id = {key.id: key for key in read_keys(self.path)}
        except SpeedError as error:  # tried again: what mends it, a right for one, may leave no trace on the file
            if stamp != self._failed:
                log.warning("The keys stay as they were. %s", error)
            self._failed = stamp
        else:
            self._seen = self._failed = stamp
            log.info("%d API keys are valid.", len(self._by_id))


def read_keys(path: Path) -> list[Key]:
    """Every key of the file; none where there is no file. Raises SpeedError where it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Key])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise SpeedError(f"The API keys in {path} cannot be read: {error}.") from error


def add_key(path: Path, scopes: Sequence[Scope], note: str = "") -> str:
    """Make a key and store its hash; answers the key itself, which nothing keeps. Raises SpeedError."""
    key_id = secrets.token_hex(4)
    presented = f"fc_{key_id}_{secrets.token_hex(32)}"
    with _changing(path) as keys:
        keys.append(Key(key_id, _digest(presented), tuple(scopes), datetime.now(UTC), note))
    return presented


def revoke_key(path: Path, key_id: str) -> bool:
    """Whether there was such a key. Servers forget it within seconds. Raises SpeedError."""
    with _changing(path) as keys:
        left = [key for key in keys if key.id != key_id]
        found = len(left) < len(keys)
        keys[:] = left
    return found


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The keys, to be changed in place, by one process at a time; stored whole, readable by their owner alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = read_keys(path)
            before = list(keys)
            yield keys
            if keys == before:
                return
            part = path.with_name(f".{path.name}.{os.getpid()}")
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(keys), indent=1) + b"\n")
            part.replace(path)
    except OSError as error:
        raise SpeedError(f"The API keys in {path} cannot be changed: {error.strerror}.") from error


def _digest(presented: str) -> str:
    return hashlib.sha256(presented.encode(errors="surrogatepass")).hexdigest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
