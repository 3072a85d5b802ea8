"""Whether the portable model gives the numbers of the native one: what must hold before a model can go live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.model.calibration import Calibration
from jobs.model.evaluation import Parity
from jobs.model.intervals import Interval
from speed.scorer import Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_parity(  # noqa: PLR0917
    portable: Scorer,
    features: NDArray[np.float64],
    views: NDArray[np.float64],
    native: NDArray[np.float64],
    calibration: Calibration,
    interval: Interval,
    tolerance: float,
) -> Parity:
    """The largest difference in rate or bounds between the portable model and numpy on native predictions.

    features: (n, 47); views: (n,); native: (n,) raw predictions of the library that fitted the model.
    """
    rate = calibration.apply(native)
    wanted = np.stack([rate, *interval.bounds(rate, views)])
    found = np.stack(portable.score(features, views))
    differences = np.abs(found - wanted)
    differences[np.isnan(found) & np.isnan(wanted)] = 0
    # One that is missing on one side alone is as wrong as a rate can be.
    largest = float(np.nan_to_num(differences, nan=1.0).max(initial=0))
    return Parity(rows=len(native), largest=largest, tolerance=tolerance)
