"""Families against each other: each one calibrated, the best one chosen, and how sure it is. Pure numpy.

Three sides of the forms, none of which a fit has seen: `calibration` turns raw predictions into rates, `conformal`
chooses the family and sets the width of its intervals, and the holdout only judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.model.calibration import Calibration, fit_calibration
from jobs.model.gate import BASELINE
from jobs.model.intervals import Interval, fit_interval
from jobs.model.losses import Objective, losses


@dataclass(frozen=True)
class Contest:
    """best: the family of the least loss on the conformal side, the baseline aside; interval: that family's.

    calibrations: of every family. loss: by the objective, of every family that could be best. holdout: form_id,
    views, completion_rate, a column of calibrated rates a family and one for the champion, in the order of form_id.
    """

    best: str
    calibrations: dict[str, Calibration]
    interval: Interval
    loss: dict[str, float]
    holdout: pa.Table

    def facts_of(self, family: str) -> dict[str, dict[str, Any]]:
        """A family's calibration and, for the best, its intervals, as plain lists and numbers for its papers."""
        facts = {"calibration": _plain(self.calibrations[family])}
        return facts | {"interval": _plain(self.interval)} if family == self.best else facts


def compete(judged: pa.Table, names: Iterable[str], objective: Objective, coverage: float) -> Contest:
    """The contest of the families `names`.

    judged: form_id, side, views, completion_rate, a column of raw predictions a family, and other columns, which are
    kept as they are. Rows may come in any order: folds are made in that of form_id, so the same forms give the same
    model.
    """
    judged = judged.sort_by("form_id")
    sides = {side: judged.filter(pc.equal(judged["side"], side)) for side in ("calibration", "conformal", "holdout")}
    actual, views = _array(sides["calibration"], "completion_rate"), _array(sides["calibration"], "views")
    calibrations = {
        name: fit_calibration(_array(sides["calibration"], name), actual, views, objective) for name in names
    }
    rates = {side: _calibrated(sides[side], calibrations) for side in ("conformal", "holdout")}
    actual, views = _array(rates["conformal"], "completion_rate"), _array(rates["conformal"], "views")
    loss = {
        name: float(losses(objective, actual, _array(rates["conformal"], name), views).mean())
        for name in calibrations
        if name != BASELINE
    }
    best = min(loss, key=loss.__getitem__)
    interval = fit_interval(_array(rates["conformal"], best), actual, views, coverage)
    return Contest(best, calibrations, interval, loss, rates["holdout"].drop(["side"]))


def _calibrated(rows: pa.Table, calibrations: dict[str, Calibration]) -> pa.Table:
    for name, calibration in calibrations.items():
        rates = pa.array(calibration.apply(rows[name].to_numpy()))
        rows = rows.set_column(rows.column_names.index(name), name, rates)
    return rows


def _plain(maps: Calibration | Interval) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(maps).items()}


def _array(rows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(rows[name].to_numpy(), dtype=np.float64)
