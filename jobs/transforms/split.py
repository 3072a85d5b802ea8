"""Which side a form is on: to learn from, to calibrate with, to measure certainty with, or held out for judging.

A form's side depends on its id alone, so it is the same every night, on every machine and in every version of
Spark, and anyone can recompute it: see RULE.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

HOLDOUT, CALIBRATION, CONFORMAL, TRAIN = "holdout", "calibration", "conformal", "train"
# A side's draws end here; what is left is for training.
_ENDS = {HOLDOUT: 0.2, CALIBRATION: 0.3, CONFORMAL: 0.4}
RULE = (
    "draw = int(md5(form_id).hexdigest()[:8], 16) / 2**32; "
    + "; ".join(f"{side}: draw < {end}" for side, end in _ENDS.items())
    + "; train: the rest, fit on those where the same of [8:16] < fit_fraction"
)

_DIGITS = 8  # of md5 in hexadecimal: 32 bits, so a share is exact to 2e-10


def with_side(forms: DataFrame) -> DataFrame:
    """Add `side`: holdout (a fifth of the ids), calibration, conformal (a tenth each), or train.

    The first that holds counts: `calibration` fits how raw predictions become rates, `conformal` chooses among the
    families and measures how sure they are, and the holdout judges what neither has seen.
    """
    side = F.lit(TRAIN)
    for name, end in reversed(_ENDS.items()):
        side = F.when(_draw(0) < end, name).otherwise(side)
    return forms.withColumn("side", side)


def sampled(frame: DataFrame, share: float) -> DataFrame:
    """About `share` of the forms, always the same ones; a larger share holds all that a smaller one does.

    Uses bits of the hash that `with_side` does not, so that it is independent of the side.
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
