"""A model's folder: its native format, `model.onnx`, `explain.npz`, holdout, evaluation, and the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq

from jobs.edge.files import files_below
from jobs.edge.models import MANIFEST_FILE, Models, ModelVersion, unreadable
from jobs.errors import DamagedError, FormcastError, MissingError
from jobs.model.manifest import Manifest, decoded, encoded
from speed.scorer import MODEL_FILE, ModelError, Scorer

if TYPE_CHECKING:
    import pyarrow as pa

    from jobs.model.evaluation import Evaluation

PORTABLE, EXPLANATION, HOLDOUT_FILE = MODEL_FILE, "explain.npz", "holdout.parquet"
EVALUATION_FILE = "evaluation.json"
CHAMPION_COLUMN, CHALLENGER_COLUMN = "champion", "challenger"  # of holdout.parquet


@dataclass(frozen=True)
class Artifact:
    """What train has made of the best family, besides its native files, which stand in the staged folder."""

    portable: bytes
    explanation: bytes | None
    holdout: pa.Table
    evaluation: Evaluation


def publish_model(models: Models, staged: Path, artifact: Artifact, manifest: Manifest) -> tuple[str, str]:
    """Complete the staged folder and move it to its place, whole; its URI and checksum."""
    (staged / PORTABLE).write_bytes(artifact.portable)
    if artifact.explanation is not None:
        (staged / EXPLANATION).write_bytes(artifact.explanation)
    pq.write_table(artifact.holdout, staged / HOLDOUT_FILE)
    (staged / EVALUATION_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(artifact.evaluation)))
    manifest = msgspec.structs.replace(manifest, checksums=_checksums(staged))
    (staged / MANIFEST_FILE).write_bytes(encoded(manifest))
    return models.publish_artifact(manifest.version, staged)


def read_portable(folder: Path) -> bytes:
    """The portable model in a folder (from `Models.verified_folder`). Raises DamagedError if it cannot score."""
    read_manifest(folder)
    with _whole(f"The portable model in {folder} cannot be used"):
        content = (folder / PORTABLE).read_bytes()
        Scorer(content)
    return content


def read_manifest(folder: Path) -> Manifest:
    """Raises DamagedError if there is none, or one that cannot be believed."""
    with _whole(f"The model in {folder} has no good manifest"):
        return decoded((folder / MANIFEST_FILE).read_bytes())


def read_evaluation(folder: Path) -> Evaluation:
    """Raises DamagedError if there is none, or one that cannot be read."""
    from jobs.model.evaluation import Evaluation  # noqa: PLC0415 - SciPy, for which most commands need not wait

    with _whole(f"The model in {folder} has no good evaluation"):
        return msgspec.json.decode((folder / EVALUATION_FILE).read_bytes(), type=Evaluation)


@contextmanager
def _whole(otherwise: str) -> Iterator[None]:
    """Raise DamagedError, with `otherwise`, for a file that is missing from a folder or holds something else."""
    try:
        yield
    except (FileNotFoundError, ValueError, ModelError) as error:
        raise DamagedError(f"{otherwise} ({error}): train again.") from error
    except OSError as error:
        raise FormcastError(unreadable(error.filename or "A file of a model", error)) from error


def read_holdout(folder: Path) -> pa.Table:
    """form_id, views, completion_rate, baseline, challenger and, where there was one to compare with, champion."""
    return pq.read_table(folder / HOLDOUT_FILE)


@dataclass(frozen=True)
class Rival:
    """The present champion as train judges it: its version and model, or a note that says why it cannot be."""

    version: str | None = None
    models: dict[str, bytes] = field(default_factory=dict)
    """{"champion": its portable model}, or nothing."""
    family: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def find_readable_champion(models: Models) -> tuple[ModelVersion | None, str]:
    """The champion; or None and why: there is none yet, or its files are gone, changed, or of other features.

    Then a retrain is the way out. A store that cannot be read for now is no reason: its FormcastError is raised.
    """
    champion = models.find_champion()
    if champion is None:
        return None, "There was no champion yet."
    try:
        read_portable(models.verified_folder(champion))
    except (MissingError, DamagedError) as error:
        return None, f"The champion {champion.version} counted as none: {error}"
    return champion, ""


def load_rival(models: Models) -> Rival:
    """The champion to compare with, or why there is none."""
    champion, why_none = find_readable_champion(models)
    if champion is None:
        return Rival(note=why_none)
    folder = models.folder(champion.version)
    paper = read_manifest(folder)
    return Rival(champion.version, {CHAMPION_COLUMN: read_portable(folder)}, paper.family, paper.params)


def _checksums(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files_below(folder)
    }
