"""What most people would write: scikit-learn's defaults, on the same forms and the same holdout."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from benchmarks.rows import read_fit_and_holdout


def main(forms: str) -> None:
    """forms: the Delta table. Prints seconds and holdout MAE."""
    began = time.perf_counter()
    fit, holdout = read_fit_and_holdout(forms)
    said: dict[str, float] = {"read": time.perf_counter() - began}
    for name, model in (
        ("linear", LinearRegression()),
        ("forest", RandomForestRegressor(n_estimators=10, random_state=0)),
    ):
        began = time.perf_counter()
        predicted = model.fit(fit.X, fit.y).predict(holdout.X)
        said[f"{name}_seconds"] = time.perf_counter() - began
        said[f"{name}_mae"] = float(np.abs(predicted - holdout.y).mean())
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:2])
