"""What a form's prediction costs, by the objective that the model is to serve. Pure numpy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Array = NDArray[np.float64]
Objective = Literal["mae", "mse", "deviance"]

LOSS_NAMES: dict[Objective, str] = {"mae": "MAE", "mse": "mean squared error", "deviance": "binomial deviance"}
_EDGE = 1e-6  # a rate of exactly 0 or 1 that is wrong once would cost infinitely much


def losses(objective: Objective, actual: Array, predicted: Array, views: Array) -> Array:
    """(n,) costs whose mean is the objective: absolute errors, squared errors, or binomial deviances.

    All (n,); actual and predicted are completion rates, views > 0. A form's deviance is that of its submissions among
    its views, divided by the mean of views. Source: McCullagh & Nelder 1989, section 4.4.2.
    """
    if objective == "mae":
        return np.abs(predicted - actual)
    if objective == "mse":
        return (predicted - actual) ** 2
    rate = np.clip(predicted, _EDGE, 1 - _EDGE)
    unit = xlogy(actual, actual / rate) + xlogy(1 - actual, (1 - actual) / (1 - rate))
    return np.asarray(2 * unit * views / views.mean())
