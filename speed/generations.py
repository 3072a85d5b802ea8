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

from speed.errors import StoreError
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
        """The generation to answer from: the pinned one, else the current. Raises StoreError before the first."""
        return self.pinned() or self.current_name()

    def live_manifest(self) -> Manifest:
        """Of the generation to answer from. Raises StoreError before the first publish."""
        return self.manifest(self.live_name())

    def current_name(self) -> str:
        """The generation that was published last, or rolled back to. Raises StoreError before the first."""
        name = self._read(CURRENT)
        if name is None:
            raise StoreError(f"Nothing is published yet below {self.serving}.")
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
        """Raises StoreError where the generation is not there or has no good manifest."""
        return read_manifest(self.serving / name)

    def all(self) -> list[Manifest]:
        """Every whole generation that is kept, newest first; one whose manifest cannot be read is none."""
        return readable(self.manifest, (path.parent.name for path in self.serving.glob(f"[!.]*/{MANIFEST}")))

    def folder(self, name: str) -> Path:
        """Where a generation's files are on this machine."""
        return self.serving / name

    def open(self, name: str) -> Generation:
        """A generation, after every byte of it was verified. Raises StoreError where it is not what was published."""
        folder = self.folder(name)
        manifest = read_manifest(folder)
        verify_files(folder, manifest)
        store = LmdbStore(folder, manifest)
        if len(store) != manifest.count:
            store.close()
            raise StoreError(f"Generation {name} holds {len(store):,} scores, and not {manifest.count:,}.")
        return Generation(folder, manifest, store, load_scorer(folder))


def readable(manifest: Callable[[str], Manifest], names: Iterable[str]) -> list[Manifest]:
    """The manifests of these generations, newest first, without those that raise StoreError: others must go on."""
    found = []
    for name in names:
        try:
            found.append(manifest(name))
        except StoreError as error:
            log.warning("A generation is passed over: %s", error)
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def read_manifest(folder: Path) -> Manifest:
    """Raises StoreError where there is none, or one that cannot be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{folder} holds no readable generation: {error}.") from error


def load_scorer(folder: Path) -> Scorer:
    """The generation's model, ready to score. Raises StoreError where it cannot."""
    try:
        return Scorer(folder / MODEL_FILE)
    except ModelError as error:
        raise StoreError(f"The model of generation {folder.name} cannot be used: {error}") from error


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raise StoreError where a file of the generation is missing or its checksum is not the manifest's."""
    for name, expected in manifest.files.items():
        if sha256(folder / name) != expected:
            raise StoreError(f"The checksum of {name} in generation {manifest.generation} is wrong.")


def sha256(file: Path) -> str:
    """Raises StoreError where the file cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}.") from error
