"""The published statistics that the sample imitates, read from `facts.json`."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from speed.contract import FEATURES, N_FEATURES


@dataclass(frozen=True)
class FeatureFacts:
    """What is published of one feature: a count, 0..max, `zero_share` of the forms have 0."""

    zero_share: float
    p25: float
    p50: float
    p75: float
    p90: float
    max: int
    mean: float
    std: float


@dataclass(frozen=True)
class Facts:
    """features: 47 in the order of the contract. correlation: (47, 47) Pearson, of the raw values.

    form_id: min, p25, p50, p75, max. views, submissions, completion_rate: min..max, mean, std by name.
    """

    features: tuple[FeatureFacts, ...]
    correlation: np.ndarray
    form_id: tuple[int, ...]
    views: dict[str, float]
    submissions: dict[str, float]
    completion_rate: dict[str, float]
    correlation_with_rate: dict[str, float]


def _feature(row: dict[str, float]) -> FeatureFacts:
    return FeatureFacts(
        zero_share=row["zero_percent"] / 100,
        p25=row["p25"],
        p50=row["p50"],
        p75=row["p75"],
        p90=row["p90"],
        max=int(row["max"]),
        mean=row["mean"],
        std=row["std"],
    )


def _correlation(upper: list[list[float]]) -> np.ndarray:
    matrix = np.eye(N_FEATURES)
    for i, row in enumerate(upper):
        matrix[i, i + 1 :] = row
        matrix[i + 1 :, i] = row
    return matrix


@cache
def published() -> Facts:
    """The facts, parsed once a process."""
    raw: dict[str, Any] = json.loads((Path(__file__).parent / "facts.json").read_text("utf-8"))
    columns = raw["feature_columns"]
    return Facts(
        features=tuple(_feature(dict(zip(columns, raw["features"][name], strict=True))) for name in FEATURES),
        correlation=_correlation(raw["correlation_upper"]),
        form_id=tuple(raw["form_id"]),
        views=raw["views"],
        submissions=raw["submissions"],
        completion_rate=raw["completion_rate"],
        correlation_with_rate=raw["correlation_with_completion_rate"],
    )
