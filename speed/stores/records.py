"""What a score store holds: a fixed-width record and the features of a form, and a manifest a generation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from speed.contract import N_FEATURES

Features = NDArray[np.float64]

# Little-endian, 40 bytes. NaN stands for "none": a bound not computed, a rate undefined at zero views.
RECORD = np.dtype(
    [("predicted_rate", "<f8"), ("lower", "<f8"), ("upper", "<f8"), ("completion_rate", "<f8"), ("views", "<i8")]
)
_FLAG_BYTES = -(-N_FEATURES // 8)


class Score(msgspec.Struct, frozen=True):
    """A form's published score. Rates are in [0, 1]; None where there is none."""

    form_id: str
    predicted_rate: float
    lower: float | None
    upper: float | None
    completion_rate: float | None
    views: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A form's streamed score: what an event said of it, when, and which model made of it what.

    observed_at: when the event's data was true. generation: the live one when it was scored, whose model scored it.
    features: packed by `pack_features`.
    """

    form_id: str
    event_id: str
    observed_at: datetime
    scored_at: datetime
    predicted_rate: float
    lower: float | None
    upper: float | None
    completion_rate: float | None
    views: int
    model_version: str
    generation: str
    features: bytes

    @property
    def score(self) -> Score:
        return Score(self.form_id, self.predicted_rate, self.lower, self.upper, self.completion_rate, self.views)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation is: which run and model made its scores, from which tables, and its files' checksums."""

    generation: str
    run_id: str
    model_version: str
    model_uri: str
    """Where the model's folder is."""
    predictions_version: int
    forms_version: int
    scored_at: datetime
    data_until: datetime
    """The input knows everything up to then; a streamed entry of later data counts for more."""
    created_at: datetime
    count: int
    files: dict[str, str]
    """SHA-256 by name of every other file in the generation's folder."""


def unpack(form_id: str, record: bytes | memoryview) -> Score:
    rate, lower, upper, completion_rate, views = np.frombuffer(record, RECORD)[0].item()
    lower, upper, completion_rate = (
        None if math.isnan(value) else value for value in (lower, upper, completion_rate)
    )
    return Score(form_id, rate, lower, upper, completion_rate, views)


def pack_features(rows: Features) -> Iterator[bytes]:
    """Each of (n, 47) rows as 47 flags of what is not zero, then those values as float64: forms are mostly zeros."""
    present = rows != 0
    flags = np.packbits(present, axis=1).tobytes()
    values = np.ascontiguousarray(rows[present], "<f8").tobytes()
    ends = (8 * np.cumsum(present.sum(axis=1))).tolist()
    start = 0
    for at, end in enumerate(ends):
        yield flags[at * _FLAG_BYTES : (at + 1) * _FLAG_BYTES] + values[start:end]
        start = end


def unpack_features(packed: bytes) -> Features:
    """The (47,) features that `pack_features` packed."""
    present = np.unpackbits(np.frombuffer(packed[:_FLAG_BYTES], np.uint8))[:N_FEATURES].astype(bool)
    features = np.zeros(N_FEATURES)
    features[present] = np.frombuffer(packed[_FLAG_BYTES:], "<f8")
    return features
