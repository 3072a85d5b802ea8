"""Trained models: artifacts under `models/<version>/` and their states in `model_versions`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.edge.files import LakeFiles, files_below
from jobs.edge.tables import Tables
from jobs.errors import DamagedError, FormcastError, MissingError

MANIFEST_FILE = "manifest.json"
CANDIDATE, CHAMPION, REFUSED, ARCHIVED = "candidate", "champion", "refused", "archived"


@dataclass(frozen=True)
class ModelVersion:
    """A row of `model_versions`: what was trained, on which data, how good, and what became of it."""

    version: str
    run_id: str
    family: str
    params: dict[str, Any]
    metrics: dict[str, float]
    data_version: int
    artifact_uri: str
    artifact_sha256: str
    state: str
    reason: str
    created_at: datetime


class Models:
    """The model versions of one lake. At most one is champion, and each change is one commit."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.files = LakeFiles(tables.lake)

    def folder(self, version: str) -> Path:
        """The version's files on this machine. Raises MissingError if they are gone."""
        try:
            return self.files.folder(f"models/{version}")
        except MissingError as error:
            raise MissingError(
                f"The files of model {version} are gone from {self.uri(version)}: train again."
            ) from error
        except OSError as error:
            raise FormcastError(unreadable(self.uri(version), error)) from error

    def has_files(self, version: str) -> bool:
        """Whether the version's folder is there, whole."""
        return self.files.has(f"models/{version}/{MANIFEST_FILE}")

    def uri(self, version: str) -> str:
        return self.files.uri(f"models/{version}")

    def all(self, table_version: int | None = None) -> list[ModelVersion]:
        """Every version, oldest first, as the table had them at one of its versions (the newest without one)."""
        sql = "select * from model_versions order by created_at, version"
        rows = self._tables.query(sql, "model_versions", version=table_version)
        maps = ("params", "metrics")
        return [ModelVersion(**(row | {name: json.loads(row[name]) for name in maps})) for row in rows]

    def of_run(self, run_id: str) -> list[ModelVersion]:
        """What a run trained; what it trained last, if its training was done again."""
        trained = [model for model in self.all() if model.run_id == run_id]
        return [model for model in trained if model.created_at == trained[-1].created_at]

    def get(self, version: str) -> ModelVersion:
        for model in self.all():
            if model.version == version:
                return model
        raise MissingError(f"There is no model version {version!r}: `formcast models` lists those there are.")

    def find_champion(self, table_version: int | None = None) -> ModelVersion | None:
        return next((model for model in self.all(table_version) if model.state == CHAMPION), None)

    def champion(self, table_version: int | None = None) -> ModelVersion:
        """The live model. Raises MissingError before the first promotion."""
        champion = self.find_champion(table_version)
        if champion is None:
            raise MissingError("No model is champion yet: run the whole nightly (`make run`) first.")
        return champion

    def save(self, models: list[ModelVersion]) -> None:
        """Put these versions in, in place of rows of the same version, in one commit."""
        names = {model.version for model in models}
        kept = [model for model in self.all() if model.version not in names] + models
        self._tables.replace("model_versions", [_row(model) for model in kept])

    def promote(self, version: str, reason: str) -> None:
        """Make `version` champion and archive the one before it, in one commit."""
        old, new = self.find_champion(), self.get(version)
        changed = [replace(new, state=CHAMPION, reason=reason)]
        if old is not None and old.version != version:
            changed.append(replace(old, state=ARCHIVED, reason=f"Gave way to {version}."))
        self.save(changed)

    def publish_artifact(self, version: str, staged: Path) -> tuple[str, str]:
        """Move a finished artifact folder to its place; answers its URI and checksum."""
        digest = checksum(staged)
        self.files.keep(staged, f"models/{version}", last=MANIFEST_FILE)
        return self.uri(version), digest

    def verified_folder(self, model: ModelVersion) -> Path:
        """The folder of a model whose bytes are those that were trained.

        Raises MissingError if they are gone, DamagedError if they were changed.
        """
        folder = self.folder(model.version)
        try:
            found = checksum(folder)
        except OSError as error:
            raise FormcastError(unreadable(folder, error)) from error
        if found != model.artifact_sha256:
            raise DamagedError(f"The files of model {model.version} in {folder} were changed: train again.")
        return folder


def checksum(folder: Path) -> str:
    """SHA-256 over names and bytes of all files below `folder`. Raises OSError if one cannot be read."""
    digest = hashlib.sha256()
    for file in files_below(folder):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def unreadable(place: object, error: OSError) -> str:
    """What to say of files that cannot be read, which says nothing about what is in them."""
    return f"{place} cannot be read for now: {error}. Run the step again when that is fixed."


def _row(model: ModelVersion) -> dict[str, Any]:
    return asdict(model) | {"params": json.dumps(model.params), "metrics": json.dumps(model.metrics)}
