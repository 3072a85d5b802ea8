"""The API in this process, on a small lake: what its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from speed.api.app import create_app
from speed.api.keys import SCOPES, Scope, add_key
from speed.contract import N_FEATURES
from speed.settings import ServeSettings
from speed.stores.records import Entry, pack_features
from tests.generations import publish_generation

LOCAL = ("127.0.0.1", 50000)


def vector(first: float = 0.0) -> list[float]:
    return [first] + [1.0] * (N_FEATURES - 1)


FORMS = {"a": (vector(2), 100, 30), "b/ü": (vector(3), 0, 0)}


def small_lake(path: Path) -> Path:
    """A lake with the forms a (48 points: rate .68) and b/ü (49 points, no views: rate .69), live as g1."""
    publish_generation(path / "serving", "g1", FORMS)
    return path


def settings_of(path: Path, **settings: Any) -> ServeSettings:
    return ServeSettings(**{"lake": str(path), "access_log": False, "watch_seconds": 0.02} | settings)


def key_header(lake: Path, *scopes: Scope) -> dict[str, str]:
    return {"Authorization": f"Bearer {add_key(lake / 'serving' / 'keys.json', scopes or SCOPES)}"}


@contextmanager
def client_of(lake: Path, *scopes: Scope, peer: tuple[str, int] = LOCAL, **settings: Any) -> Iterator[TestClient]:
    """A client with a key of these scopes, or of all."""
    headers = key_header(lake, *scopes)
    with TestClient(create_app(settings_of(lake, **settings)), headers=headers, client=peer) as client:
        yield client


def entry(form_id: str, views: int, observed_at: datetime, rate: float = 0.5) -> Entry:
    features = np.array([vector(5)])
    return Entry(
        form_id=form_id,
        event_id=f"e-{form_id}-{views}",
        observed_at=observed_at,
        scored_at=datetime(2026, 11, 21, tzinfo=UTC),
        predicted_rate=rate,
        lower=rate - 0.1,
        upper=rate + 0.1,
        completion_rate=0.4,
        views=views,
        model_version="m-old",
        generation="g-old",
        features=next(pack_features(features)),
    )
