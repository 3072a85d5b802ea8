"""Writes serving generations: built aside, verified against the table, and only then made live."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from speed.stores.lmdb import CURRENT, DATA, MANIFEST, LmdbStore, StoreError, current_folder, read_manifest
from speed.stores.records import RECORD, Manifest, unpack

SAMPLED = 1_000


class Serving:
    """The generations below `<lake>/serving`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.folder = Path(tables.lake) / "serving"

    def build(self, version: int) -> Manifest:
        """The generation of `predictions` as of `version`; one that stands already, whole, is taken as it is.

        Raises FormcastError where what was written does not match the table; then nothing of it stays.
        """
        scores, (run_id, model_version, scored_at) = _read_scores(self._tables, version)
        name = f"{run_id}-v{version}"
        if (self.folder / name).is_dir():
            self.verify(name, scores)
            return read_manifest(self.folder / name)
        building = self.folder / f".building-{name}"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        _write_scores(building / DATA, scores)
        manifest = Manifest(
            generation=name,
            run_id=run_id,
            model_version=model_version,
            predictions_version=version,
            scored_at=scored_at,
            created_at=datetime.now(UTC),
            count=scores.num_rows,
            sha256=_sha256(building / DATA),
        )
        (building / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
        try:
            self.verify(building.name, scores)
        except FormcastError:
            shutil.rmtree(building)
            raise
        building.rename(self.folder / name)
        return manifest

    def verify(self, name: str, scores: pa.Table) -> None:
        """Raise FormcastError where a generation's count, checksum or sampled records are not the table's."""
        folder = self.folder / name
        remedy = f"Delete {folder} and publish again."
        try:
            with LmdbStore(folder) as store:
                if _sha256(folder / DATA) != store.manifest.sha256:
                    raise FormcastError(f"The checksum of generation {name} is wrong. {remedy}")
                if not len(store) == store.manifest.count == scores.num_rows:
                    raise FormcastError(
                        f"Generation {name} holds {len(store):,} scores of {scores.num_rows:,}. {remedy}"
                    )
                step = max(1, scores.num_rows // SAMPLED)
                sample = scores.take(np.arange(0, scores.num_rows, step))
                for form_id, record in zip(sample["form_id"].to_pylist(), _records(sample), strict=True):
                    if store.get(form_id) != unpack(form_id, record):
                        raise FormcastError(f"Generation {name} has another score for form {form_id}. {remedy}")
        except StoreError as error:
            raise FormcastError(f"{error}. {remedy}") from error

    def swap(self, generation: str) -> None:
        """Make a generation live, atomically."""
        pointer = self.folder / CURRENT
        part = self.folder / f".{CURRENT}.{os.getpid()}"
        part.write_text(f"{generation}\n", encoding="utf-8")
        part.replace(pointer)

    def live(self) -> Manifest | None:
        """What is live, or None before the first publish."""
        try:
            return read_manifest(current_folder(self.folder))
        except (StoreError, OSError):
            return None

    def of_run(self, run_id: str) -> Manifest | None:
        """The newest generation that a run published, if it is still kept."""
        kept = [manifest for manifest in self.kept() if manifest.run_id == run_id]
        return kept[0] if kept else None

    def kept(self) -> list[Manifest]:
        """Every generation on disk, newest first."""
        manifests = [read_manifest(path.parent) for path in self.folder.glob(f"[!.]*/{MANIFEST}")]
        return sorted(manifests, key=lambda manifest: manifest.created_at, reverse=True)

    def any_form_id(self) -> str | None:
        """A form that the live generation knows: an example to try."""
        try:
            with LmdbStore(current_folder(self.folder)) as store:
                return store.first_id()
        except StoreError:
            return None

    @property
    def rollback_intent(self) -> Path:
        """Stands while predictions and serving are being moved back together, and names the run."""
        return self.folder / "ROLLBACK"

    def unfinished_rollback(self) -> str | None:
        return self.rollback_intent.read_text(encoding="utf-8") if self.rollback_intent.is_file() else None

    def prune(self, keep: int) -> list[str]:
        """Delete all but the newest `keep` generations; the live one always stays."""
        live = self.live()
        old = [m.generation for m in self.kept()[keep:] if live is None or m.generation != live.generation]
        for name in old:
            shutil.rmtree(self.folder / name)
        return old


def _read_scores(tables: Tables, version: int) -> tuple[pa.Table, tuple[str, str, datetime]]:
    """The scores (form_id and the columns of RECORD), and the run, model and time that made them.

    Raises FormcastError where the table is empty or mixes runs.
    """
    made_by = {name: set[Any]() for name in ("run_id", "model_version", "scored_at")}
    batches = []
    for batch in tables.delta("predictions", version).to_pyarrow_dataset().to_batches():
        # The same three values stand in every row: they are checked and let go, not held ten million times.
        for name, values in made_by.items():
            values.update(pc.unique(batch[name]).to_pylist())
        batches.append(batch.select(["form_id", *(RECORD.names or ())]))
    if any(len(values) != 1 for values in made_by.values()):
        raise FormcastError("The table predictions is empty or mixes runs: run score again before publish.")
    run_id, model_version, scored_at = (values.pop() for values in made_by.values())
    return pa.Table.from_batches(batches), (run_id, model_version, scored_at)


def _write_scores(file: Path, scores: pa.Table) -> None:
    """Write records in key order, which lets LMDB append: no page is split, none half empty."""
    ordered = scores.take(pc.sort_indices(scores["form_id"]))
    key_bytes = pc.sum(pc.binary_length(ordered["form_id"])).as_py()
    # The map is address space, not disk: far more than pages and their headers can need.
    size = 4 * (key_bytes + ordered.num_rows * (RECORD.itemsize + 32)) + (64 << 20)
    with lmdb.open(str(file), subdir=False, map_size=size, lock=False, sync=False, writemap=False) as env:
        with env.begin(write=True) as transaction, transaction.cursor() as cursor:
            pairs = zip(_keys(ordered), _records(ordered), strict=True)
            _, added = cursor.putmulti(pairs, append=True, overwrite=False)
        if added != ordered.num_rows:
            raise FormcastError(f"Of {ordered.num_rows:,} scores {added:,} have a form id of their own: score again.")
        env.sync(True)


def _keys(scores: pa.Table) -> Iterator[bytes]:
    for batch in scores.select(["form_id"]).to_batches(max_chunksize=100_000):
        yield from batch["form_id"].cast(pa.binary()).to_pylist()


def _records(scores: pa.Table) -> Iterator[bytes]:
    records = np.empty(scores.num_rows, RECORD)
    for name in RECORD.names or ():
        records[name] = scores[name].to_numpy()  # a null becomes NaN
    packed, width = records.tobytes(), RECORD.itemsize
    return (packed[at : at + width] for at in range(0, len(packed), width))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
