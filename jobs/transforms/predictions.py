"""How a fitted model becomes a predicted rate: the one place, for judging and for scoring alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.transforms.features import with_features

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel


def with_predictions(forms: DataFrame, model: PipelineModel, name: str = "predicted_rate") -> DataFrame:
    """Add `name`: the model's completion rate of each form, clipped to [0, 1].

    forms: holds the 47 features by name; all its columns are kept, and no other is added.
    """
    scored = model.transform(with_features(forms))
    rate = F.least(F.greatest(F.col("prediction"), F.lit(0.0)), F.lit(1.0))
    return scored.select(*forms.columns, rate.alias(name))


def with_all_predictions(forms: DataFrame, models: Mapping[str, PipelineModel]) -> DataFrame:
    """Add a column of predictions a model, by its name."""
    for name, model in models.items():
        forms = with_predictions(forms, model, name)
    return forms
