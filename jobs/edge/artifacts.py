"""A model's folder: its native format, `model.onnx`, `explain.npz`, holdout, evaluation, and the manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq

from jobs.edge.models import MANIFEST_FILE, Models, ModelVersion
from jobs.errors import FormcastError
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
    """The portable model in a folder (from `Models.verified_folder`). Raises FormcastError where it cannot score."""
    read_manifest(folder)
    try:
        content = (folder / PORTABLE).read_bytes()
        Scorer(content)
    except (OSError, ModelError) as error:
        raise FormcastError(f"The portable model in {folder} cannot be used ({error}): train again.") from error
    return content


def read_manifest(folder: Path) -> Manifest:
    """Raises FormcastError where there is none, or one that cannot be believed."""
    try:
        return decoded((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise FormcastError(f"The model in {folder} has no good manifest ({error}): train again.") from error


def read_evaluation(folder: Path) -> Evaluation:
    """Raises FormcastError where there is none, or one that cannot be read."""
    from jobs.model.evaluation import Evaluation  # noqa: PLC0415 - SciPy, for which most commands need not wait

    try:
        return msgspec.json.decode((folder / EVALUATION_FILE).read_bytes(), type=Evaluation)
    except (OSError, ValueError) as error:
        raise FormcastError(f"The model in {folder} has no good evaluation ({error}): train again.") from error


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


def find_readable_champion(models: Models) -> ModelVersion | None:
    """The champion, unless its files are gone, changed, or of other features: then a retrain is the way out."""
    champion = models.find_champion()
    if champion is not None:
        try:
            read_portable(models.verified_folder(champion))
        except FormcastError:
            return None
    return champion


def load_rival(models: Models) -> Rival:
    """The champion to compare with, or why there is none."""
    champion = find_readable_champion(models)
    if champion is None:
        return Rival(note="There was no champion whose files could be read.")
    folder = models.folder(champion.version)
    paper = read_manifest(folder)
    return Rival(champion.version, {CHAMPION_COLUMN: read_portable(folder)}, paper.family, paper.params)


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
