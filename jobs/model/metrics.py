"""How far predictions are off: plain, and weighted by views. Pure numpy."""

from __future__ import annotations

import numpy as np

from jobs.model.losses import Array, losses


def evaluate(actual: Array, predicted: Array, views: Array) -> dict[str, float]:
    """MAE, RMSE and R2 of forms, the same weighted by views (`weighted_*`), where a view counts once, and `deviance`.

    All (n,), n >= 1; actual and predicted are completion rates, views > 0. Raises ValueError where n is 0.
    deviance: 2 sum_i v_i (y_i log(y_i / p_i) + (1 - y_i) log((1 - y_i) / (1 - p_i))) / sum_i v_i, that of all
    submissions among all views, a view. Predictions of 0 and 1 count as 1e-6 and 1 - 1e-6.
    Source: McCullagh & Nelder 1989, section 4.4.
    """
    if len(actual) == 0:
        raise ValueError("There is nothing to evaluate: no forms are held out.")
    plain = _errors(actual, predicted, np.ones(len(actual)))
    weighted = _errors(actual, predicted, np.asarray(views, dtype=np.float64))
    deviance = {"deviance": float(losses("deviance", actual, predicted, views).mean())}
    return plain | deviance | {f"weighted_{name}": value for name, value in weighted.items()}


def _errors(actual: Array, predicted: Array, weights: Array) -> dict[str, float]:
    share = weights / weights.sum()
    error = predicted - actual
    mse = float(share @ error**2)
    variance = float(share @ (actual - share @ actual) ** 2)
    return {
        "mae": float(share @ np.abs(error)),
        "rmse": float(np.sqrt(mse)),
        # By convention 0 where all rates are equal: there is nothing to explain.
        "r2": 1 - mse / variance if variance > 0 else 0.0,
    }
