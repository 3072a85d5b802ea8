"""Which side a form is on: held out for judging, or there to learn from.

A form's side depends on its id alone, so it is the same every night, on every machine and in every version of
Spark, and anyone can recompute it: see RULE.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

HOLDOUT_FRACTION = 0.2
RULE = f"held out: int(md5(form_id).hexdigest()[:8], 16) / 2**32 < {HOLDOUT_FRACTION}; fit: the same of [8:16]"

_DIGITS = 8  # of md5 in hexadecimal: 32 bits, so a share is exact to 2e-10


def with_split(forms: DataFrame, holdout_fraction: float = HOLDOUT_FRACTION) -> DataFrame:
    """Add `is_holdout`: true for about `holdout_fraction` of the ids."""
    return forms.withColumn("is_holdout", _draw(0) < holdout_fraction)


def sampled(frame: DataFrame, share: float) -> DataFrame:
    """About `share` of the forms, always the same ones; a larger share holds all that a smaller one does.

    Uses bits of the hash that `with_split` does not, so that it is independent of the side.
    """
    return frame if share >= 1 else frame.where(_draw(1) < share)


def repeatable(frame: DataFrame, partitions: int) -> DataFrame:
    """The frame in partitions and an order that depend on ids alone, however the table's files are laid out.

    MLlib draws its bins and bootstraps by partition and position: without this, a fit could not be repeated.
    """
    return frame.repartition(partitions, "form_id").sortWithinPartitions("form_id")


def _draw(block: int) -> Column:
    """A number in [0, 1) from the form id: block 0 decides the side, block 1 the sample."""
    digits = F.substring(F.md5(F.col("form_id")), 1 + block * _DIGITS, _DIGITS)
    return F.conv(digits, 16, 10).cast("long") / F.lit(2**32)
