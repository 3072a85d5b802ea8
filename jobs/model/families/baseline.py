"""The median label for every form: what any model must beat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.model.export import Raw, from_constant
from jobs.model.families import Family, Params, Saved
from jobs.model.gate import BASELINE

_FILE = "constant.json"


@dataclass(frozen=True)
class Constant:
    """The same prediction for every form."""

    value: float

    def transform(self, frame: DataFrame) -> DataFrame:
        return frame.withColumn("prediction", F.lit(self.value))

    def save(self, folder: Path, _shared: str, /) -> None:
        (folder / BASELINE).mkdir(exist_ok=True)
        (folder / BASELINE / _FILE).write_text(json.dumps({"prediction": self.value}), encoding="utf-8")


def fit(rows: DataFrame, _params: Params, _seed: int) -> Constant:
    return Constant(rows.agg(F.median("label")).first()[0])


def portable(saved: Saved) -> Raw:
    return from_constant(json.loads((saved.folder / BASELINE / _FILE).read_bytes())["prediction"])


FAMILY = Family(name=BASELINE, params={}, fit=fit, portable=portable)
