"""What a form's score was made from, and what each feature adds to it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from speed.api.answers import ExplainedRate, FormScore
from speed.contract import FEATURES
from speed.errors import StoreError
from speed.generations import Generation
from speed.live import Found
from speed.stores.records import unpack_features


def with_details(answer: FormScore, found: Found, *, explain: bool, features: bool) -> FormScore:
    """The answer with what was asked for besides. Raises StoreError where the store has no features of the form."""
    values = _features(found)
    if features:
        answer = msgspec.structs.replace(answer, features=values.tolist())
    if explain:
        answer = msgspec.structs.replace(answer, explanation=_explained(found, values))
    return answer


def _features(found: Found) -> NDArray[np.float64]:
    if found.entry is not None:
        return unpack_features(found.entry.features)
    values = found.generation.store.features(found.score.form_id)
    if values is None:
        name = found.generation.manifest.generation
        raise StoreError(f"Generation {name} has a score of form {found.score.form_id!r} and no features.")
    return values


def _explained(found: Found, values: NDArray[np.float64]) -> ExplainedRate | None:
    """By the live model: a score that an earlier one streamed is made anew, so that the parts add up."""
    generation: Generation = found.generation
    if (explainer := generation.explainer) is None:
        return None
    taken_apart = explainer.explain(values)
    rate, _, _ = generation.scorer.score_one(values.tolist())
    return ExplainedRate(
        rate=rate,
        base=taken_apart.base,
        contributions=dict(zip(FEATURES, taken_apart.contributions.tolist(), strict=True)),
        raw=taken_apart.prediction,
        calibration=rate - taken_apart.prediction,
        method=explainer.method,
        model_version=generation.manifest.model_version,
    )
