"""The one scorer: batch, API, stream and Lambda get a form's rate from the same model by the same code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from speed.contract import FEATURES, N_FEATURES

MODEL_FILE = "model.onnx"
INPUTS, OUTPUT = {"features": N_FEATURES, "views": 1}, "scores"
_ROWS_A_RUN = 1 << 16  # what a run holds in between fits into a few megabytes
_ERRORS_ONLY = 3

Floats = NDArray[np.float64]


class ModelError(Exception):
    """A model that cannot score, and why, in one sentence."""


class Scored(NamedTuple):
    """(n,) rates in [0, 1], and the bounds of their intervals: NaN where there are none."""

    rate: Floats
    lower: Floats
    upper: Floats


class Scorer:
    """A portable model, ready to score. One may be used by many threads at once."""

    def __init__(self, source: Path | bytes, threads: int = 1) -> None:
        """Load a model from a file or its content; `threads`: how many score one batch.

        Raises ModelError where it is no model, or one of other features than the contract's.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _ERRORS_ONLY
        # A waiting thread must not burn the core that a neighbour needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            content = source if isinstance(source, bytes) else source.read_bytes()
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise ModelError(f"The model cannot be read: {error}") from error
        except MemoryError:  # says nothing about the model
            raise
        except Exception as error:  # onnxruntime's errors share no class of their own
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"The model is damaged or no ONNX model: {first[:200]}") from error
        self.facts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        """What the model says of itself: version, family, features, and coverage where it has intervals."""
        self._check()

    def score(self, features: ArrayLike, views: ArrayLike | None = None) -> Scored:
        """Rates of n forms, and their intervals where views are given and at least 1.

        features: (n, 47) in the contract's order. views: (n,), NaN for none.
        """
        rows = np.ascontiguousarray(features, dtype=np.float64)
        seen = np.full(len(rows), np.nan) if views is None else np.ascontiguousarray(views, dtype=np.float64)
        seen = seen.reshape(-1, 1)
        scores = np.empty((len(rows), 3))
        for start in range(0, len(rows), _ROWS_A_RUN):
            part = slice(start, start + _ROWS_A_RUN)
            scores[part] = self._session.run([OUTPUT], {"features": rows[part], "views": seen[part]})[0]
        return Scored(*np.ascontiguousarray(scores.T))

    def score_one(
        self, features: Sequence[float], views: float | None = None
    ) -> tuple[float, float | None, float | None]:
        """The rate of one form, and its interval, None where there is none."""
        seen = math.nan if views is None else views
        inputs = {"features": np.array([features], np.float64), "views": np.array([[seen]], np.float64)}
        rate, lower, upper = self._session.run([OUTPUT], inputs)[0][0].tolist()
        return rate, None if math.isnan(lower) else lower, None if math.isnan(upper) else upper

    def _check(self) -> None:
        found = {put.name: (put.type, put.shape[1:]) for put in self._session.get_inputs()}
        wanted = {name: ("tensor(double)", [width]) for name, width in INPUTS.items()}
        outputs = [put.name for put in self._session.get_outputs()]
        if found != wanted or outputs != [OUTPUT]:
            raise ModelError(f"The model takes {found} and gives {outputs}: it is not one of Formcast's.")
        if self.facts.get("features") != ",".join(FEATURES):
            raise ModelError(f"The model was made for other features: {self.facts.get('features', 'unnamed')[:200]}.")
