"""How models become predicted rates: by the portable scorer, for judging and scoring alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from speed.contract import FEATURES
from speed.scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_INTERVAL = ("predicted_rate", "lower", "upper")


def with_rates(forms: DataFrame, models: Mapping[str, bytes]) -> DataFrame:
    """Replace the 47 features by a column of rates a model, by its name.

    forms: holds the features by name; all its other columns are kept. models: portable models (ONNX).
    """

    def rates(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorers = {name: Scorer(model) for name, model in models.items()}
        for batch in batches:
            features = features_of(batch)
            yield _replaced(batch, {name: scorer.score(features).rate for name, scorer in scorers.items()})

    kept = [field for field in forms.schema if field.name not in FEATURES]
    columns = [*(f"{field.name} {field.dataType.simpleString()}" for field in kept), *(f"{m} double" for m in models)]
    return forms.select(*(field.name for field in kept), *FEATURES).mapInArrow(rates, ", ".join(columns))


def with_predictions(forms: pa.RecordBatch, scorer: Scorer) -> pa.RecordBatch:
    """Replace the 47 features by predicted_rate and its interval: lower and upper, null for a form without views.

    forms: holds `views` and the features by name; all its other columns are kept.
    """
    scored = scorer.score(features_of(forms), forms["views"].to_numpy().astype(np.float64))
    return _replaced(forms, dict(zip(_INTERVAL, scored, strict=True)))


def features_of(table: pa.RecordBatch | pa.Table) -> np.ndarray:
    """(n, 47) values of the features, in the contract's order."""
    return np.column_stack([table[name].to_numpy() for name in FEATURES])


def _replaced(batch: pa.RecordBatch, columns: Mapping[str, np.ndarray]) -> pa.RecordBatch:
    added = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}  # NaN becomes null
    kept = {name: batch[name] for name in batch.schema.names if name not in FEATURES}
    return pa.record_batch(kept | added)
