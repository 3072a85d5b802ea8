"""The 47 features as one vector."""

from __future__ import annotations

from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from speed.contract import FEATURES


def with_features(forms: DataFrame) -> DataFrame:
    """Add `features`: a dense vector in the contract's order.

    Dense, though most values are 0: MLlib's trees look values up by position, and scoring takes half the time
    that it takes on the sparse vectors that VectorAssembler makes.
    """
    return forms.withColumn("features", array_to_vector(F.array(*FEATURES)))
