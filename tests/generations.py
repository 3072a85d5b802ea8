"""Small generations for tests: real files, a real model, no Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from jobs.edge.score_files import PACKED, write_features, write_scores
from jobs.model.calibration import IDENTITY
from jobs.model.export import from_linear, portable_model
from jobs.model.intervals import Interval
from speed.contract import FEATURES as NAMES
from speed.contract import N_FEATURES
from speed.explain import save_linear
from speed.generations import CURRENT, EXPLANATION, MANIFEST, PAPERS, Generations, sha256
from speed.scorer import MODEL_FILE, Scorer
from speed.stores.lmdb import FEATURES, SCORES
from speed.stores.records import Manifest, Score, pack_features

SCORED_AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
Forms = Mapping[str, tuple[Sequence[float], int, int]]
"""By form id: the 47 features, views, submissions."""


def small_model(version: str, slope: float = 0.01) -> dict[str, bytes]:
    """The files of a linear model with intervals, by name: rate = .2 + slope * the sum of the features."""
    raw = from_linear(np.full(N_FEATURES, slope), 0.2, transform="raw", link="identity")
    interval = Interval(0.9, 0.01, np.array([10.0]), np.array([2.0, 1.5]), np.array([2.0, 1.5]))
    facts = {"version": version, "family": "linear"}
    explained = save_linear(np.full(N_FEATURES, slope), 0.2, np.zeros(N_FEATURES), transform="raw")
    papers = {"version": version, "family": "linear", "features": NAMES, "metrics": {"mae": 0.17}, "params": {}}
    return {
        MODEL_FILE: portable_model(raw, IDENTITY, interval, facts),
        EXPLANATION: explained,
        PAPERS: json.dumps(papers).encode(),
    }


def many_forms(count: int, seed: int = 1) -> dict[str, tuple[list[float], int, int]]:
    """So many forms, `f0`, `f1`, ..., mostly zeros as real ones are."""
    random = np.random.default_rng(seed)
    rows = random.poisson(0.4, (count, N_FEATURES)).astype(float).tolist()
    views = random.integers(0, 500, count).tolist()
    return {f"f{at}": (rows[at], views[at], views[at] // 3) for at in range(count)}


def publish_generation(
    serving: Path,
    name: str,
    forms: Forms,
    *,
    slope: float = 0.01,
    data_until: datetime = SCORED_AT,
    live: bool = True,
) -> dict[str, Score]:
    """Write a generation as `publish` does, and make it live; answers the score of every form."""
    folder = serving / name
    folder.mkdir(parents=True)
    model = small_model(f"m-{name}", slope)
    for file, content in model.items():
        (folder / file).write_bytes(content)
    ids = sorted(forms, key=str.encode)
    rows = np.array([forms[form_id][0] for form_id in ids], float).reshape(len(ids), N_FEATURES)
    views = np.array([forms[form_id][1] for form_id in ids])
    submissions = np.array([forms[form_id][2] for form_id in ids])
    scored = Scorer(model[MODEL_FILE]).score(rows, views)
    with np.errstate(invalid="ignore"):
        columns = dict(zip(("predicted_rate", "lower", "upper"), scored, strict=True))
        columns |= {"completion_rate": submissions / views, "views": views}
    write_scores(folder / SCORES, pa.table({"form_id": ids} | columns))
    write_features(folder / FEATURES, pa.table({"form_id": ids, "packed": list(pack_features(rows))}, schema=PACKED))
    manifest = Manifest(
        generation=name,
        run_id=name,
        model_version=f"m-{name}",
        model_uri=f"file:///models/m-{name}",
        predictions_version=1,
        forms_version=1,
        scored_at=SCORED_AT,
        data_until=data_until,
        created_at=datetime.now(UTC),
        count=len(ids),
        files={file.name: sha256(file) for file in sorted(folder.iterdir())},
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    generations = Generations(serving)
    with closing(generations.open(name)) as generation:
        scores = generation.store.get_many(ids)
    if live:
        generations.point(CURRENT, name)
    return scores
