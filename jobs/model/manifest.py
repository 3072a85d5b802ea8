"""What is said about a model beside its files: `manifest.json`, typed, and checked while it is read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from speed.contract import FEATURES


class DataWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The forms that a model learned from: a version of the table, and when its rows came in."""

    table_version: int
    forms: int
    first_ingested_at: datetime
    last_ingested_at: datetime


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How the forms were divided. `rule` is enough to do it again outside of Spark."""

    rule: str
    train_forms: int
    holdout_forms: int
    fit_fraction: float
    fit_forms: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A model's papers. The checksums are SHA-256 by path below the model's folder."""

    run_id: str
    version: str = ""
    family: str = ""
    features: tuple[str, ...] = FEATURES
    params: dict[str, Any] = {}
    objective: Literal["mae", "mse", "deviance"] = "mae"
    calibration: dict[str, list[float]] = {}
    """Knots of the map from raw predictions to rates: x and y, empty for none."""
    interval: dict[str, Any] = {}
    """What jobs.model.intervals needs to give bounds: coverage, overdispersion, and quantiles by views."""
    metrics: dict[str, float] = {}
    data: DataWindow
    split: Split
    seed: int
    code_version: str
    created_at: datetime
    champion: str | None
    """The champion that was judged on the same holdout, or None where there was none that could be read."""
    note: str = ""
    checksums: dict[str, str] = {}

    def of(self, family: str, version: str, **facts: Any) -> Manifest:
        """The manifest of one family's model of this run; facts: those fields that are its own."""
        return msgspec.structs.replace(self, family=family, version=version, **facts)


def encoded(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decoded(text: bytes) -> Manifest:
    """Raises ValueError where the text is no manifest, or one of other features than the contract's."""
    manifest = msgspec.json.decode(text, type=Manifest)
    if manifest.features != FEATURES:
        raise ValueError(f"The model was trained on other features: {', '.join(manifest.features)[:200]}.")
    return manifest
