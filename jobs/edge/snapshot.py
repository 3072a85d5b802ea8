"""Writes serving generations: built aside, verified against the tables, and only then made live."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from jobs.edge.artifacts import EXPLANATION, MANIFEST_FILE, PORTABLE
from jobs.edge.files import LakeFiles, scratch
from jobs.edge.intent import FILE as INTENT
from jobs.edge.intent import Intent, read_intent, write_intent
from jobs.edge.models import Models
from jobs.edge.score_files import Contents, read_contents, records_of, write_features, write_scores
from jobs.edge.store_errors import LOST, plain_sentences
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from speed.errors import StoreDamagedError
from speed.generations import CURRENT, MANIFEST, PAPERS, Generation, Generations, sha256
from speed.merge import is_live
from speed.sources import generations_below
from speed.stores.lmdb import FEATURES, SCORES, LmdbStore
from speed.stores.realtime import FILE as REALTIME
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Manifest, unpack, unpack_features

if TYPE_CHECKING:
    from jobs.edge.s3 import S3Publisher

RUNS = "runs.json"
SAMPLED = 1_000
log = logging.getLogger("formcast")
_MODEL_FILES = {PORTABLE: PORTABLE, EXPLANATION: EXPLANATION, MANIFEST_FILE: PAPERS}
"""Files of a model's folder, and their names in a generation."""


class Serving:
    """The generations below `<lake>/serving`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._files = LakeFiles(tables.lake)
        self._s3: S3Publisher | None = None
        self.generations = generations_below(f"{tables.lake}/serving", scratch() / "serving")

    def build(self, version: int) -> Manifest:
        """The generation of `predictions` as of `version`; one that stands already, whole, is taken as it is.

        Raises FormcastError where what was written does not match the tables; then nothing of it stays.
        """
        self._s3 = None if self._files.is_local else self._new_s3()
        contents = read_contents(self._tables, version)
        name = f"{contents.scores.run_id}-v{contents.predictions_version}"
        if self._files.has(f"serving/{name}/{MANIFEST}"):
            with plain_sentences(f"Delete {self._files.place(f'serving/{name}')} and publish again."):
                return _verified(self.generations.open(name), contents)
        building = self._files.workplace(f"serving/{name}")
        try:
            self._write(building, name, contents)
            with plain_sentences():
                manifest = _verified(Generations(building.parent).open(building.name), contents)
        except FormcastError:
            shutil.rmtree(building)
            raise
        if self._s3:
            self._s3.upload(building)
        else:
            self._files.keep(building, f"serving/{name}", last=MANIFEST)
        return manifest

    def _new_s3(self) -> S3Publisher:
        """A publish to S3: what is live now is what its swap may replace."""
        from jobs.edge.s3 import S3Publisher  # noqa: PLC0415 - boto3 takes a quarter of a second to import

        return S3Publisher(f"{self._tables.lake}/serving")

    def _write(self, building: Path, name: str, contents: Contents) -> None:
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
            model_uri=models.uri(scores.model_version),
            predictions_version=contents.predictions_version,
            forms_version=contents.forms_version,
            scored_at=scores.scored_at,
            data_until=contents.data_until,
            created_at=datetime.now(UTC),
            count=scores.rows.num_rows,
            files={file.name: sha256(file) for file in sorted(building.iterdir())},
        )
        (building / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))

    def swap(self, generation: str) -> None:
        """Make a generation live, atomically. Raises FormcastError where another publish has done so meanwhile."""
        if self._files.is_local:
            self.generations.point(CURRENT, generation)
        else:
            (self._s3 or self._new_s3()).swap(generation)

    def drop_outdated(self, manifest: Manifest) -> int:
        """Delete streamed scores that a generation knows better; how many.

        Those of a lake in S3 are in DynamoDB, which its own publisher tidies.
        """
        if not (self._files.is_local and self._files.has(f"serving/{REALTIME}")):
            return 0
        folder = self.generations.folder(manifest.generation)
        with (
            plain_sentences(),
            closing(LmdbRealtime(self.generations.serving)) as realtime,
            LmdbStore(folder, manifest) as store,
        ):
            return realtime.prune(lambda entry: is_live(entry, store.get(entry.form_id), manifest.data_until))

    def answering(self) -> tuple[Manifest | None, str]:
        """What readers answer from, a pinned one before the current; see `_named`."""
        return self._named(self.generations.live_name)

    def live(self) -> Manifest | None:
        """What is current; see `_named`."""
        return self._named(self.generations.current_name)[0]

    def _named(self, pointer: Callable[[], str]) -> tuple[Manifest | None, str]:
        """The generation that a pointer names; None before the first publish, None and why if it is gone or damaged.

        Raises FormcastError if the store cannot be read for now: then nobody knows what is live.
        """
        name = ""
        with plain_sentences():
            try:
                name = pointer()
                return self.generations.manifest(name), ""
            except LOST as error:
                if not name:
                    return None, ""
                log.warning("%s", why := f"Generation {name}, which was live, is gone or damaged: {error}")
                return None, why

    def write_runs(self, runs: Sequence[msgspec.Struct]) -> None:
        """Leave the last runs, as JSON, where the API looks for them."""
        self._files.write(f"serving/{RUNS}", msgspec.json.encode(runs))

    def begin_rollback(self, to: str) -> None:
        """Say that predictions and serving are being moved back together, and to which run."""
        write_intent(self._files, to, self.live())

    def end_rollback(self) -> None:
        self._files.delete(INTENT)

    def unfinished_rollback(self) -> Intent | None:
        """The rollback that was cut off, or None if there is none or a publish has gone live since."""
        intent, live = read_intent(self._files), self.live()
        return None if intent and live and intent.is_outlived_by(live) else intent

    def prune(self, keep: int) -> list[str]:
        """Delete all but the newest `keep` generations; the current one and a pinned one always stay."""
        with plain_sentences():
            in_use = {self.generations.current_name(), self.generations.pinned()}
            old = [m.generation for m in self.generations.kept()[keep:] if m.generation not in in_use]
        for name in old:
            self._files.delete(f"serving/{name}")
        return old


def _verified(generation: Generation, contents: Contents) -> Manifest:
    """The manifest of a generation, which is closed. Raises StoreDamagedError if it is not what the tables say."""
    manifest, rows = generation.manifest, contents.scores.rows
    with closing(generation):
        if manifest.count != rows.num_rows:
            raise StoreDamagedError(f"{manifest.generation} holds {manifest.count:,} scores of {rows.num_rows:,}.")
        at = np.arange(0, rows.num_rows, max(1, rows.num_rows // SAMPLED))
        sample, packed = rows.take(at), contents.packed["packed"].take(at).to_pylist()
        for form_id, record, features in zip(sample["form_id"].to_pylist(), records_of(sample), packed, strict=True):
            found = generation.store.features(form_id)
            same = found is not None and np.array_equal(found, unpack_features(features))
            if generation.store.get(form_id) != unpack(form_id, record) or not same:
                raise StoreDamagedError(f"{manifest.generation} has other values for form {form_id}.")
    return manifest
