"""Fits one model that is not Formcast's, in a process of its own, and prints its figures as JSON.

`python -m benchmarks.one_model NAME FORMS FIT_FRACTION`
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models_page import LIGHTGBM, LINEAR
from benchmarks.rows import read_fit_and_holdout


def linear() -> Any:
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415  (each model loads its own library only)

    return LinearRegression()


def forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415

    return RandomForestRegressor(n_jobs=-1, random_state=0)


def grid_search() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415
    from sklearn.model_selection import GridSearchCV  # noqa: PLC0415
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import FunctionTransformer  # noqa: PLC0415

    boosted = HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
    steps = [("logs", FunctionTransformer(np.log1p)), ("boosted", boosted)]
    grid = {"boosted__max_leaf_nodes": [15, 31], "boosted__learning_rate": [0.05, 0.1]}
    return GridSearchCV(Pipeline(steps), grid, scoring="neg_mean_absolute_error", cv=3)


def lightgbm() -> Any:
    from lightgbm import LGBMRegressor  # noqa: PLC0415

    return LGBMRegressor(objective="regression_l1", n_estimators=300, random_state=0, verbose=-1)


MODELS: dict[str, Callable[[], Any]] = {
    LINEAR: linear,
    "scikit-learn RandomForestRegressor": forest,
    "scikit-learn Pipeline with GridSearchCV": grid_search,
    LIGHTGBM: lightgbm,
}


def main(name: str, forms: str, fit_fraction: str) -> None:
    fit, holdout = read_fit_and_holdout(forms, float(fit_fraction))
    began = time.perf_counter()
    model = MODELS[name]().fit(fit.X, fit.y)
    fitted = time.perf_counter()
    predicted = np.clip(model.predict(holdout.X), 0, 1)
    scored = time.perf_counter()
    error = predicted - holdout.y
    said = {
        "fit_forms": len(fit),
        "fit_seconds": fitted - began,
        "score_seconds": scored - fitted,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": float(1 - (error**2).mean() / holdout.y.var()),
        "bytes": len(pickle.dumps(model)),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:4])
