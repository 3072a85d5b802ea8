"""Writes serving generations: built aside, verified against the tables, and only then made live."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from jobs.edge.artifacts import EXPLANATION, MANIFEST_FILE, PORTABLE
from jobs.edge.ledger import SUCCEEDED, Ledger
from jobs.edge.models import Models
from jobs.edge.reports import write_whole
from jobs.edge.score_files import (
    Scores,
    read_features,
    read_scores,
    records_of,
    write_features,
    write_scores,
)
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from speed.errors import StoreError
from speed.generations import CURRENT, MANIFEST, PAPERS, Generations, sha256
from speed.merge import is_live
from speed.stores.lmdb import FEATURES, SCORES, LmdbStore
from speed.stores.realtime import FILE as REALTIME
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Manifest, unpack, unpack_features

RUNS = "runs.json"
SAMPLED = 1_000
_MODEL_FILES = {PORTABLE: PORTABLE, EXPLANATION: EXPLANATION, MANIFEST_FILE: PAPERS}
"""Files of a model's folder, and their names in a generation."""


class _Contents(NamedTuple):
    """What a generation is built of. packed: (form_id, packed features), in the order of the scores."""

    scores: Scores
    packed: pa.Table
    forms_version: int
    data_until: datetime


class Serving:
    """The generations below `<lake>/serving`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.folder = Path(tables.lake) / "serving"
        self.generations = Generations(self.folder)

    def build(self, version: int) -> Manifest:
        """The generation of `predictions` as of `version`; one that stands already, whole, is taken as it is.

        Raises FormcastError where what was written does not match the tables; then nothing of it stays.
        """
        contents = self._contents(version)
        name = f"{contents.scores.run_id}-v{version}"
        if (self.folder / name).is_dir():
            self._verify(self.folder / name, contents)
            return self.generations.manifest(name)
        building = self.folder / f".building-{name}"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        try:
            manifest = self._write(building, name, version, contents)
            self._verify(building, contents)
        except FormcastError:
            shutil.rmtree(building)
            raise
        building.rename(self.folder / name)
        return manifest

    def _contents(self, version: int) -> _Contents:
        """The scores, and the forms that they were made of.

        Which forms those were stands in the ledger; after an upkeep of the tables, which changes versions but no row,
        the newest are meant.
        """
        scores = read_scores(self._tables, version)
        entries = [entry for entry in Ledger(self._tables).entries() if entry.status == SUCCEEDED]
        made = [entry for entry in entries if entry.versions_written.get("predictions") == version]
        forms_version = made[-1].versions_read.get("forms") if made else None
        if forms_version is None:
            forms_version = self._tables.version("forms").version
        packed = read_features(self._tables, forms_version)
        if not packed["form_id"].equals(scores.rows["form_id"]):
            raise FormcastError("The forms are not those of the predictions: run score again before publish.")
        return _Contents(scores, packed, forms_version, self._data_until(scores))

    def _data_until(self, scores: Scores) -> datetime:
        """The cut-off of the last whole dump before these scores; where none was noted, all that streams is newer."""
        rows = self._tables.query("select value, at from metrics where name = 'data_until' order by at", "metrics")
        known = [row["value"] for row in rows if row["at"] <= scores.scored_at]
        return datetime.fromtimestamp(known[-1] if known else 0.0, UTC)

    def _write(self, building: Path, name: str, version: int, contents: _Contents) -> Manifest:
        scores = contents.scores
        models = Models(self._tables)
        model = models.verified_folder(models.get(scores.model_version))
        for source, target in _MODEL_FILES.items():
            if (model / source).is_file():
                shutil.copyfile(model / source, building / target)
        write_scores(building / SCORES, scores.rows)
        write_features(building / FEATURES, contents.packed)
        manifest = Manifest(
            generation=name,
            run_id=scores.run_id,
            model_version=scores.model_version,
            model_uri=model.resolve().as_uri(),
            predictions_version=version,
            forms_version=contents.forms_version,
            scored_at=scores.scored_at,
            data_until=contents.data_until,
            created_at=datetime.now(UTC),
            count=scores.rows.num_rows,
            files={file.name: sha256(file) for file in sorted(building.iterdir())},
        )
        (building / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        return manifest

    def _verify(self, folder: Path, contents: _Contents) -> None:
        """Raise FormcastError where a generation's count, checksums or sampled records are not the tables'."""
        rows, remedy = contents.scores.rows, f"Delete {folder} and publish again."
        try:
            generation = self.generations.open(folder.name)
        except StoreError as error:
            raise FormcastError(f"{error} {remedy}") from error
        try:
            if generation.manifest.count != rows.num_rows:
                held = generation.manifest.count
                raise FormcastError(f"{folder.name} holds {held:,} scores of {rows.num_rows:,}. {remedy}")
            at = np.arange(0, rows.num_rows, max(1, rows.num_rows // SAMPLED))
            sample, packed = rows.take(at), contents.packed["packed"].take(at).to_pylist()
            for form_id, record, features in zip(
                sample["form_id"].to_pylist(), records_of(sample), packed, strict=True
            ):
                found = generation.store.features(form_id)
                if generation.store.get(form_id) != unpack(form_id, record) or not np.array_equal(
                    found if found is not None else [], unpack_features(features)
                ):
                    raise FormcastError(f"Generation {folder.name} has other values for form {form_id}. {remedy}")
        finally:
            generation.close()

    def swap(self, generation: str) -> None:
        """Make a generation live, atomically."""
        self.generations.point(CURRENT, generation)

    def drop_outdated(self, manifest: Manifest) -> int:
        """Delete streamed scores that the generation knows better; how many. Call it when the generation is live."""
        if not (self.folder / REALTIME).is_file():
            return 0
        realtime = LmdbRealtime(self.folder)
        try:
            with LmdbStore(self.folder / manifest.generation, manifest) as store:
                return realtime.prune(lambda entry: is_live(entry, store.get(entry.form_id), manifest.data_until))
        finally:
            realtime.close()

    def live(self) -> Manifest | None:
        """What is current, or None before the first publish."""
        try:
            return self.generations.manifest(self.generations.current_name())
        except StoreError:
            return None

    def any_form_id(self) -> str | None:
        """A form that the current generation knows: an example to try."""
        live = self.live()
        if live is None:
            return None
        with LmdbStore(self.folder / live.generation, live) as store:
            return store.first_id()

    def write_runs(self, runs: Sequence[msgspec.Struct]) -> None:
        """Leave the last runs, as JSON, where the API looks for them."""
        write_whole(self.folder / RUNS, msgspec.json.encode(runs).decode())

    @property
    def rollback_intent(self) -> Path:
        """Stands while predictions and serving are being moved back together, and names the run."""
        return self.folder / "ROLLBACK"

    def unfinished_rollback(self) -> str | None:
        return self.rollback_intent.read_text(encoding="utf-8") if self.rollback_intent.is_file() else None

    def prune(self, keep: int) -> list[str]:
        """Delete all but the newest `keep` generations; the current one and a pinned one always stay."""
        live = self.live()
        in_use = {live.generation if live else None, self.generations.pinned()}
        old = [m.generation for m in self.generations.all()[keep:] if m.generation not in in_use]
        for name in old:
            shutil.rmtree(self.folder / name)
        return old
