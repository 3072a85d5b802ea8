"""Generations below a serving folder: which one is live, and one of them verified and open for answers."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from speed.errors import StoreDamagedError, StoreError, StoreMissingError
from speed.explain import Explainer
from speed.scorer import MODEL_FILE, ModelError, Scorer
from speed.stores.base import ScoreStore
from speed.stores.lmdb import LmdbStore
from speed.stores.records import Manifest

CURRENT, PIN = "CURRENT", "PIN"
"""CURRENT names the live generation, and PIN, where it is there, the one to answer from in its place."""
MANIFEST, PAPERS, EXPLANATION = "manifest.json", "model.json", "explain.npz"

log = logging.getLogger("formcast")


@dataclass(frozen=True)
class Generation:
    """What answers come from: one night's scores and the model that made them, which never part."""

    folder: Path
    manifest: Manifest
    store: ScoreStore
    scorer: Scorer

    @cached_property
    def papers(self) -> dict[str, Any]:
        """The model's own manifest: family, parameters, metrics, data window, lineage."""
        found: dict[str, Any] = msgspec.json.decode((self.folder / PAPERS).read_bytes())
        return found

    @cached_property
    def explainer(self) -> Explainer | None:
        """None where the model's family cannot be explained feature by feature."""
        file = self.folder / EXPLANATION
        return Explainer(file) if file.is_file() else None

    def close(self) -> None:
        self.store.close()


class Generations:
    """The generations below a folder of this machine."""

    def __init__(self, serving: Path) -> None:
        self.serving = serving

    def live_name(self) -> str:
        """The generation to answer from: pinned, else current. Raises StoreMissingError before the first publish."""
        return self.pinned() or self.current_name()

    def live_manifest(self) -> Manifest:
        """Of the generation to answer from. Raises StoreMissingError before the first publish."""
        return self.manifest(self.live_name())

    def current_name(self) -> str:
        """The generation that was published last, or rolled back to. Raises StoreMissingError before the first."""
        name = self._read(CURRENT)
        if name is None:
            raise StoreMissingError(f"Nothing is published yet below {self.serving}.")
        return name

    def pinned(self) -> str | None:
        return self._read(PIN)

    def point(self, pointer: str, name: str) -> None:
        """Make PIN or CURRENT name a generation, atomically."""
        part = self.serving / f".{pointer}.{os.getpid()}"
        part.write_text(f"{name}\n", encoding="utf-8")
        part.replace(self.serving / pointer)

    def unpin(self) -> None:
        (self.serving / PIN).unlink(missing_ok=True)

    def _read(self, pointer: str) -> str | None:
        try:
            return (self.serving / pointer).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.serving / pointer} cannot be read: {error}.") from error

    def manifest(self, name: str) -> Manifest:
        """Raises StoreMissingError if the generation is not there, StoreDamagedError if its manifest is damaged."""
        return read_manifest(self.serving / name)

    def all(self) -> list[Manifest]:
        """Every whole generation that is kept, newest first, for readers: one that cannot be read is passed over."""
        return _newest_first(self.manifest, self._names(), StoreError)

    def kept(self) -> list[Manifest]:
        """The same, for whoever deletes by it: raises StoreError if one that may be good cannot be read for now."""
        return _newest_first(self.manifest, self._names(), StoreDamagedError)

    def _names(self) -> list[str]:
        """Of all folders, also of generations that are not whole."""
        try:
            with os.scandir(self.serving) as found:
                return [entry.name for entry in found if entry.is_dir() and not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.serving} cannot be read: {error}.") from error

    def folder(self, name: str) -> Path:
        """Where a generation's files are on this machine."""
        return self.serving / name

    def open(self, name: str) -> Generation:
        """A generation, every byte of it verified. Raises StoreDamagedError if it is not what was published."""
        folder = self.folder(name)
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
        store = LmdbStore(folder, manifest)
        if len(store) != manifest.count:
            store.close()
            raise StoreDamagedError(f"Generation {name} holds {len(store):,} scores, and not {manifest.count:,}.")
        return Generation(folder, manifest, store, load_scorer(folder))


def _newest_first(
    manifest: Callable[[str], Manifest], names: Iterable[str], passed_over: type[StoreError]
) -> list[Manifest]:
    """The manifests of the generations that are whole, without those that raise `passed_over`: others must go on."""
    found = []
    for name in names:
        try:
            found.append(manifest(name))
        except StoreMissingError:  # it is being written, or was deleted since it was listed
            continue
        except passed_over as error:
            log.warning("A generation is passed over: %s", error)
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def read_manifest(folder: Path) -> Manifest:
    """Raises StoreMissingError if there is none, StoreDamagedError if it is damaged, else StoreError."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, ValueError) as error:
        kind = _kind_of(error, StoreMissingError)
        raise kind(f"{folder} holds no readable generation: {error}.") from error


def load_scorer(folder: Path) -> Scorer:
    """The generation's model, ready to score. Raises StoreDamagedError if it cannot."""
    try:
        return Scorer(folder / MODEL_FILE)
    except ModelError as error:
        kind = _kind_of(error.__cause__, StoreDamagedError)
        raise kind(f"The model of generation {folder.name} cannot be used: {error}") from error


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raise StoreDamagedError if a file of the generation is missing or its checksum is not the manifest's."""
    for name, expected in manifest.files.items():
        if sha256(folder / name) != expected:
            raise StoreDamagedError(f"The checksum of {name} in generation {manifest.generation} is wrong.")


def sha256(file: Path) -> str:
    """Raises StoreDamagedError if the file is missing, StoreError if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _kind_of(error, StoreDamagedError)(f"{file} cannot be read: {error.strerror}.") from error


def _kind_of(error: BaseException | None, missing: type[StoreError]) -> type[StoreError]:
    """What it means that a file cannot be used. missing: what it means if it is not there."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return missing
    return StoreError if isinstance(error, OSError) else StoreDamagedError
