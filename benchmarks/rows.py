"""The forms that benchmarks run on: synthetic files, and a lake's forms as numpy arrays, divided without Spark."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray

from speed.contract import FEATURES

_HOLDOUT, _TRAIN = 0.2, 0.4  # below the one a form is held out; from the other on it is there to train on


@dataclass(frozen=True)
class Rows:
    """n forms with views. X: (n, 47) features; y: (n,) completion rates; views: (n,)."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    views: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


def read_fit_and_holdout(forms: str, fit_fraction: float | None = None) -> tuple[Rows, Rows]:
    """What to fit on and what to judge on, of the Delta table `forms`.

    fit_fraction: fit on what Formcast's families see, that share of its training side; None: on all but the holdout.
    """
    columns = ["form_id", "views", "completion_rate", *FEATURES]
    data = DeltaTable(forms).to_pyarrow_dataset().to_table(columns=columns)
    data = data.filter(pc.is_valid(data["completion_rate"]))
    digests = [hashlib.md5(i.encode(), usedforsecurity=False).hexdigest() for i in data["form_id"].to_pylist()]
    side, drawn = (np.array([int(d[at : at + 8], 16) for d in digests]) / 2**32 for at in (0, 8))
    is_fit = side >= _HOLDOUT if fit_fraction is None else (side >= _TRAIN) & (drawn < fit_fraction)
    return _rows(data.filter(pa.array(is_fit))), _rows(data.filter(pa.array(side < _HOLDOUT)))


def _rows(data: pa.Table) -> Rows:
    X = np.column_stack([data[name].to_numpy() for name in FEATURES])
    return Rows(X, data["completion_rate"].to_numpy(), data["views"].to_numpy())


def sample_of(work: Path, rows: int) -> Path:
    """Synthetic forms with a thousandth of broken lines and a hundredth of duplicates; kept for the next time."""
    file = work / f"forms-{rows}.csv"
    if not file.exists():
        print(f"sample of {rows:,} rows", flush=True)
        command = [sys.executable, "-m", "jobs", "sample", "--rows", str(rows), "--out", str(file)]
        subprocess.run([*command, "--broken", "0.001", "--duplicates", "0.01"], check=True)
    return file
