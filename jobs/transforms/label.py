"""What a model learns: the completion rate of forms that were seen at all."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_STEPS = 2**16


def with_label(forms: DataFrame) -> DataFrame:
    """Add `label`: submissions / views in steps of 2^-16, null at 0 views, where the rate is undefined.

    The step (1.5e-5, a thousandth of the labels' own noise) makes sums of labels and of their squares exact in
    doubles, in whatever order Spark adds them up: trees grown twice from the same rows are the same trees.
    """
    rate = F.when(F.col("views") > 0, F.col("submissions") / F.col("views"))
    return forms.withColumn("label", F.round(rate * _STEPS) / _STEPS)


def learnable(forms: DataFrame) -> DataFrame:
    """The forms that can be learned from and judged on: those with views, and so with a rate."""
    return forms.where(F.col("views") > 0)
