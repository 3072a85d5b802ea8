"""A model's folder: `mllib/` (MLlib's own format), `holdout.parquet`, `manifest.json`."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq

from jobs.edge.models import Models, ModelVersion
from jobs.errors import FormcastError
from jobs.model.manifest import Manifest, decoded, encoded

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

NATIVE, HOLDOUT_FILE, MANIFEST_FILE = "mllib", "holdout.parquet", "manifest.json"
CHAMPION_COLUMN, CHALLENGER_COLUMN = "champion", "challenger"  # of holdout.parquet


def publish_model(models: Models, model: PipelineModel, holdout: pa.Table, manifest: Manifest) -> tuple[str, str]:
    """Write the folder of `manifest.version` beside its place and move it there whole; its URI and checksum.

    What an earlier attempt left, half or whole, gives way.
    """
    staged = models.folder(f".{manifest.version}.part")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    model.write().overwrite().save((staged.absolute() / NATIVE).as_uri())
    pq.write_table(holdout, staged / HOLDOUT_FILE)
    manifest = msgspec.structs.replace(manifest, checksums=_checksums(staged))
    (staged / MANIFEST_FILE).write_bytes(encoded(manifest))
    return models.publish_artifact(manifest.version, staged)


def load_mllib(spark: SparkSession, folder: Path) -> PipelineModel:
    """The fitted pipeline in a model's folder (from `Models.verified_folder`), for `with_predictions`.

    spark: the session it is loaded into. Raises FormcastError for a folder that holds no model of our features.
    """
    from pyspark.ml import PipelineModel  # noqa: PLC0415  (promote reads manifests, and starts no Spark)

    read_manifest(folder)
    return PipelineModel.read().session(spark).load((folder.absolute() / NATIVE).as_uri())


def read_manifest(folder: Path) -> Manifest:
    """Raises FormcastError where there is none, or one that cannot be believed."""
    try:
        return decoded((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise FormcastError(f"The model in {folder} has no good manifest ({error}): train again.") from error


def read_holdout(folder: Path) -> pa.Table:
    """form_id, views, completion_rate, baseline, challenger and, where there was one to compare with, champion."""
    return pq.read_table(folder / HOLDOUT_FILE)


@dataclass(frozen=True)
class Rival:
    """The present champion as train judges it: its version and model, or a note that says why it cannot be."""

    version: str | None = None
    models: dict[str, PipelineModel] = field(default_factory=dict)
    """{"champion": the model}, or nothing."""
    note: str = ""


def find_readable_champion(models: Models) -> ModelVersion | None:
    """The champion, unless its files are gone, changed, or of other features: then a retrain is the way out."""
    champion = models.find_champion()
    if champion is not None:
        try:
            read_manifest(models.verified_folder(champion))
        except FormcastError:
            return None
    return champion


def load_rival(spark: SparkSession, models: Models) -> Rival:
    """The champion to compare with, or why there is none."""
    champion = find_readable_champion(models)
    if champion is None:
        return Rival(note="There was no champion whose files could be read.")
    return Rival(champion.version, {CHAMPION_COLUMN: load_mllib(spark, models.folder(champion.version))})


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
