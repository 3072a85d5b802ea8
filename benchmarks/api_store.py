"""Generations of random forms, as `publish` would leave them but made without Spark: what bench-api answers from.

`python -m benchmarks.api_store FILES SERVING NAME` publishes one in a process of its own, as a night does.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.edge.score_files import PACKED, write_features, write_scores
from jobs.model.calibration import IDENTITY
from jobs.model.export import from_trees, portable_model
from jobs.model.intervals import Interval
from jobs.model.trees import Trees
from jobs.sample.chunks import Plan, draw_chunks
from speed.contract import FEATURES as NAMES
from speed.contract import N_FEATURES
from speed.explain import save_trees
from speed.generations import CURRENT, EXPLANATION, MANIFEST, PAPERS, Generations, sha256
from speed.scorer import MODEL_FILE, Scorer
from speed.stores.lmdb import FEATURES, SCORES
from speed.stores.records import Manifest, pack_features

FORM_IDS, VECTORS = "form_ids.txt", "vectors.txt"
"""All form ids, and some packed vectors, one a line: what to ask for."""
_ASKED_VECTORS = 20_000
_TREES, _DEPTH = 50, 5  # as the boosted trees have that win on the shipped sample
_VERSION = "bench-gbt"


def make_files(folder: Path, rows: int) -> Path:
    """A folder with the files of a generation of so many forms; one that is there already is taken as it is."""
    if not folder.exists():
        building = folder.with_name(f".{folder.name}")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        _write(building, *_forms(rows))
        building.rename(folder)
    return folder


def publish(files: Path, serving: Path, name: str) -> None:
    """Put a generation of these files into `serving` and make it live, as a night does."""
    folder = serving / name
    building = serving / f".building-{name}"
    building.mkdir(parents=True)
    for file in (EXPLANATION, FEATURES, MODEL_FILE, PAPERS, SCORES):
        shutil.copyfile(files / file, building / file)
    made = msgspec.json.decode((files / MANIFEST).read_bytes(), type=Manifest)
    manifest = msgspec.structs.replace(made, generation=name, run_id=name, created_at=datetime.now(UTC))
    (building / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    building.rename(folder)
    Generations(serving).point(CURRENT, name)


def _forms(rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """(n,) ids, (n, 47) features, (n,) views and (n,) submissions of synthetic forms."""
    chunks = list(draw_chunks(Plan(rows, broken=0, duplicates=0, seed=1)))
    columns = ("form_id", "vectors", "views", "submissions")
    ids, vectors, views, submissions = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in columns
    )
    return ids, vectors.astype(np.float64), views, submissions


def _write(
    folder: Path,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float64],
    views: NDArray[np.int64],
    submissions: NDArray[np.int64],
) -> None:
    _write_model(folder)
    scored = Scorer(folder / MODEL_FILE).score(vectors, views)
    scores = pa.table(
        {
            "form_id": pa.array(ids).cast(pa.string()),
            "predicted_rate": scored.rate,
            "lower": scored.lower,
            "upper": scored.upper,
            "completion_rate": submissions / views,
            "views": views,
        }
    )
    write_scores(folder / SCORES, scores.sort_by("form_id"))
    packed = pa.table([scores["form_id"], pa.array(pack_features(vectors), pa.binary())], schema=PACKED)
    write_features(folder / FEATURES, packed.sort_by("form_id"))
    now = datetime.now(UTC)
    manifest = Manifest(
        generation="bench",
        run_id="bench",
        model_version=_VERSION,
        model_uri=folder.resolve().as_uri(),
        predictions_version=1,
        forms_version=1,
        scored_at=now,
        data_until=now,
        created_at=now,
        count=len(ids),
        files={file.name: sha256(file) for file in sorted(folder.iterdir())},
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    (folder / FORM_IDS).write_text("\n".join(scores["form_id"].to_pylist()), encoding="utf-8")
    asked = vectors[:_ASKED_VECTORS].tolist()
    (folder / VECTORS).write_text("\n".join("-".join(map(str, row)) for row in asked), encoding="utf-8")


def _write_model(folder: Path) -> None:
    trees = _random_trees()
    fields = ("roots", "feature", "threshold", "left", "right", "value", "cover", "weights")
    arrays = {name: getattr(trees, name) for name in fields}
    interval = Interval(0.9, 0.18, np.empty(0), np.array([1.8]), np.array([1.4]))
    facts = {"version": _VERSION, "family": "gbt"}
    (folder / MODEL_FILE).write_bytes(portable_model(from_trees(trees), IDENTITY, interval, facts))
    (folder / EXPLANATION).write_bytes(save_trees(**arrays, base=trees.base))
    (folder / PAPERS).write_text(json.dumps(facts | {"features": NAMES, "metrics": {}}), encoding="utf-8")


def _random_trees() -> Trees:
    """Whole binary trees: the children of a tree's node i are its nodes 2i + 1 and 2i + 2."""
    random = np.random.default_rng(1)
    inner, size = 2**_DEPTH - 1, 2 ** (_DEPTH + 1) - 1
    place = np.tile(np.arange(size), _TREES)
    roots = np.arange(_TREES) * size
    first = np.repeat(roots, size)
    is_leaf = place >= inner
    value = random.normal(0, 0.01, (_TREES, size))
    for node in reversed(range(inner)):
        value[:, node] = value[:, [2 * node + 1, 2 * node + 2]].mean(axis=1)
    return Trees(
        roots=roots,
        weights=np.ones(_TREES),
        feature=np.where(is_leaf, -1, random.integers(0, N_FEATURES, len(place))),
        threshold=np.where(is_leaf, 0.0, random.integers(0, 4, len(place)) + 0.5),
        left=np.where(is_leaf, -1, first + 2 * place + 1),
        right=np.where(is_leaf, -1, first + 2 * place + 2),
        value=value.ravel(),
        cover=2.0 ** (_DEPTH - np.floor(np.log2(place + 1))),
        base=0.5,
    )


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
