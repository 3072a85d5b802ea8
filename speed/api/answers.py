"""What the API reads and answers: these types check the bodies, and are the schemas of its OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from speed.contract import FEATURE_PATTERN, N_FEATURES
from speed.reasons import MAX_COUNT

# What the schemas say of vectors is checked by the contract itself, which can say where one is wrong.
_PACKED = {"pattern": f"^{FEATURE_PATTERN}(-{FEATURE_PATTERN}){{{N_FEATURES - 1}}}$"}
_VALUES = {"minItems": N_FEATURES, "maxItems": N_FEATURES}
_Value = Annotated[float, Meta(extra_json_schema={"minimum": 0})]
Vector = (
    Annotated[str, Meta(description="`f1-f2-...-f47`", extra_json_schema=_PACKED)]
    | Annotated[list[_Value], Meta(description="The 47 numbers in the contract's order.", extra_json_schema=_VALUES)]
)
Views = Annotated[
    float,  # whole, yet some clients write 12 as 12.0
    Meta(
        ge=0,
        le=MAX_COUNT,
        description="How often the form was seen; gives the interval.",
        extra_json_schema={"multipleOf": 1},
    ),
]


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    features: Vector
    views: Views | None = None


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vectors: list[PredictRequest]


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    form_ids: list[str]


class Rate(msgspec.Struct, frozen=True):
    """A predicted rate in [0, 1], and the bounds of what forms of so many views are seen to have; null without."""

    rate: float
    lower: float | None
    upper: float | None


class Prediction(msgspec.Struct, frozen=True):
    """A rate that was scored live, and by which model."""

    rate: float
    lower: float | None
    upper: float | None
    model_version: str
    generation: str


class BatchPrediction(msgspec.Struct, frozen=True):
    """scores: one a vector, in their order."""

    scores: list[Rate]
    model_version: str
    generation: str


class ExplainedRate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate taken apart by the live model: base + contributions + calibration = rate."""

    rate: float
    base: float
    contributions: dict[str, float]
    raw: float
    calibration: float
    method: str
    model_version: str


class FormScore(msgspec.Struct, frozen=True, kw_only=True):
    """A form's score that counts now. completion_rate: the observed one, null at zero views."""

    form_id: str
    rate: float
    lower: float | None
    upper: float | None
    views: int
    completion_rate: float | None
    origin: Literal["batch", "stream"]
    scored_at: datetime
    age_seconds: float
    model_version: str
    generation: str
    features: list[float] | UnsetType = UNSET
    explanation: ExplainedRate | UnsetType | None = UNSET
    """Null where the live model's family cannot be explained feature by feature."""


class FormScores(msgspec.Struct, frozen=True):
    """forms: those that are known, in the order asked. unknown: the other ids."""

    forms: list[FormScore]
    unknown: list[str]
    generation: str


class Health(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class RefusedGeneration(msgspec.Struct, frozen=True):
    """A generation that was published and cannot be answered from; the one before it stays live."""

    generation: str
    reason: str
    since: datetime


class Ready(msgspec.Struct, frozen=True):
    generation: str
    model_version: str
    refused: RefusedGeneration | None
    status: Literal["ready"] = "ready"


class ModelAnswer(msgspec.Struct, frozen=True):
    """generation: the manifest of what is live. model: the model's own papers: family, metrics, lineage."""

    generation: dict[str, Any]
    model: dict[str, Any]


class GenerationList(msgspec.Struct, frozen=True):
    """live: what the pointer names. answering: what this worker answers from, the same but for a second or so."""

    live: str | None
    answering: str | None
    refused: RefusedGeneration | None
    generations: list[dict[str, Any]]


class ModelPlace(msgspec.Struct, frozen=True):
    """Where the live model is, and which it is."""

    s3: str
    version: str


class RetrainRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """state: as Airflow says: queued, running, success or failed. With success, where the live model is."""

    run_id: str
    state: str
    status_url: str
    s3: str | None = None
    version: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is live, for people: `GET /` shows it."""

    ready: bool
    generation: str | None
    model_version: str | None
    model_family: str | None
    scored_at: datetime | None
    age_seconds: float | None
    forms: int | None
    streamed: int | None
    refused: RefusedGeneration | None
    requests: int
    errors: int
    requests_per_second: float
    latency_ms: dict[str, float | None]
    uptime_seconds: float
    runs: list[dict[str, Any]]
    report: str | None
