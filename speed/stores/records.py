"""What a score store holds: a fixed-width record a form, and a manifest a generation."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec
import numpy as np

# Little-endian, 40 bytes. NaN stands for "none": a bound not computed, a rate undefined at zero views.
RECORD = np.dtype(
    [("predicted_rate", "<f8"), ("lower", "<f8"), ("upper", "<f8"), ("completion_rate", "<f8"), ("views", "<i8")]
)


class Score(msgspec.Struct, frozen=True):
    """A form's published score. Rates are in [0, 1]; None where there is none."""

    form_id: str
    predicted_rate: float
    lower: float | None
    upper: float | None
    completion_rate: float | None
    views: int


class Manifest(msgspec.Struct, frozen=True):
    """What a generation is: which run and model made its scores, from which table version, and its checksum."""

    generation: str
    run_id: str
    model_version: str
    predictions_version: int
    scored_at: datetime
    created_at: datetime
    count: int
    sha256: str


def unpack(form_id: str, record: bytes) -> Score:
    rate, lower, upper, completion_rate, views = np.frombuffer(record, RECORD)[0].item()
    lower, upper, completion_rate = (
        None if math.isnan(value) else value for value in (lower, upper, completion_rate)
    )
    return Score(form_id, rate, lower, upper, completion_rate, views)
