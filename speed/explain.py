"""Why a form is predicted what it is: the file `explain.npz` of a model, and the contributions of a form's features.

Trees are explained by exact path-dependent TreeSHAP (speed.treeshap), linear models by coefficient times distance
from the mean. Contributions are in units of the raw prediction, before calibration, and add up to it.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from speed.contract import N_FEATURES
from speed.treeshap import Nodes, TreeShap

Floats = NDArray[np.float64]
Transform = Literal["raw", "log1p", "log1p_flags"]
Link = Literal["identity", "logit"]

TREES, LINEAR = "trees", "linear"
COLUMNS = {"raw": N_FEATURES, "log1p": N_FEATURES, "log1p_flags": 2 * N_FEATURES}


class ExplainError(Exception):
    """The explanation of a model cannot be read or used: one plain sentence."""


class Explanation(NamedTuple):
    """prediction = base + contributions.sum(): raw, as before calibration.

    base: what is predicted of a form of which nothing is known. contributions: (47,), in the contract's order.
    """

    base: float
    contributions: Floats
    prediction: float


class _Method(Protocol):
    name: str
    base: float

    def explain(self, features: Floats) -> tuple[Floats, float]: ...


def transformed(features: Floats, transform: Transform) -> Floats:
    """(n, 47) features as a linear predictor sees them: (n, 47), or (n, 94) where flags of x > 0 follow."""
    if transform == "raw":
        return features
    logs = np.log1p(features)
    return logs if transform == "log1p" else np.concatenate([logs, (features > 0).astype(np.float64)], axis=-1)


def save_trees(
    *,
    roots: NDArray,
    feature: NDArray,
    threshold: NDArray,
    left: NDArray,
    right: NDArray,
    value: NDArray,
    cover: NDArray,
    weights: NDArray,
    base: float = 0.0,
    strict: bool = False,
    float32: bool = False,
) -> bytes:
    """The file of an ensemble: base + sum over trees t of weights[t] * value[the leaf that the form reaches].

    roots, weights: (t,). The others are (n,), the nodes of all trees: feature (-1: a leaf), threshold, left and right
    (positions in these arrays; -1 for a leaf), value, cover (training rows that came by). A form goes left where its
    feature is <= the threshold (strict: <; float32: the feature is rounded to float32 first); NaN goes right.
    Raises ExplainError where these are no trees.
    """
    whole = {"roots": roots, "feature": feature, "left": left, "right": right}
    real = {"threshold": threshold, "value": value, "cover": cover, "weights": weights}
    arrays: dict[str, Any] = {name: np.asarray(array, dtype=np.int64) for name, array in whole.items()}
    arrays |= {name: np.asarray(array, dtype=np.float64) for name, array in real.items()}
    return _saved(TREES, arrays | {"base": base, "strict": strict, "float32": float32})


def save_linear(
    coefficients: Floats, intercept: float, means: Floats, *, transform: Transform, link: Link = "identity"
) -> bytes:
    """The file of a linear model: link^-1(intercept + coefficients . transformed features).

    coefficients, means: (k,), means of the transformed columns over a sample of held-out rows;
    k is 47, and 94 for log1p_flags. Raises ExplainError where they are not.
    """
    arrays = {"coefficients": np.asarray(coefficients, float), "means": np.asarray(means, float)}
    return _saved(LINEAR, arrays | {"intercept": float(intercept), "transform": transform, "link": link})


class Explainer:
    """Reads the file once; explains one form at a time. May be shared by threads. method: its name, for people."""

    def __init__(self, source: Path | bytes) -> None:
        """source: the file or its bytes. Raises ExplainError where it is missing, damaged or of no known kind."""
        name = str(source) if isinstance(source, Path) else "given"
        try:
            content = source.read_bytes() if isinstance(source, Path) else source
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                self._method = _method({key: file[key] for key in file.files})
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zipfile.error) as error:
            raise ExplainError(f"The explanation {name} cannot be used ({error}): train again.") from error
        self.method = self._method.name

    def explain(self, features: Sequence[float] | Floats) -> Explanation:
        """features: (47,) in the contract's order. Raises ExplainError for another number of them."""
        values = np.asarray(features, dtype=np.float64)
        if values.shape != (N_FEATURES,):
            raise ExplainError(f"A form has {N_FEATURES} features, and these have the shape {values.shape}.")
        contributions, prediction = self._method.explain(values)
        return Explanation(self._method.base, contributions, prediction)


class _Linear:
    """Contributions are coefficient * (x' - mean'); those of a feature's logarithm and of its flag are one.

    With a logit link, these are log-odds, which do not add up to a rate. They are scaled by one factor, the slope of
    the straight line between base and prediction, so that they do (the rescale rule of Shrikumar et al. 2017).
    """

    name = "coefficients times distance from the mean"

    def __init__(
        self, coefficients: Floats, intercept: float, means: Floats, transform: Transform, link: Link
    ) -> None:
        if transform not in COLUMNS or link not in ("identity", "logit"):
            raise ValueError(f"transform {transform!r} or link {link!r} is unknown")
        if not coefficients.shape == means.shape == (COLUMNS[transform],):
            raise ValueError(f"{COLUMNS[transform]} coefficients and means are needed")
        if not (np.isfinite(coefficients).all() and np.isfinite(means).all() and math.isfinite(intercept)):
            raise ValueError("a coefficient or a mean is no number")
        self._coefficients, self._means, self._transform, self._link = coefficients, means, transform, link
        self._center = intercept + float(coefficients @ means)
        self.base = self._inverse(self._center)

    def explain(self, features: Floats) -> tuple[Floats, float]:
        parts = self._coefficients * (transformed(features, self._transform) - self._means)
        contributions = parts.reshape(-1, N_FEATURES).sum(axis=0)
        distance = float(contributions.sum())
        prediction = self._inverse(self._center + distance)
        if self._link == "logit":
            slope = prediction * (1 - prediction)
            if abs(distance) > 1e-6:  # nearer, the line is the tangent, and the quotient mostly rounding
                slope = (prediction - self.base) / distance
            contributions = contributions * slope
        return contributions, prediction

    def _inverse(self, score: float) -> float:
        if self._link == "identity":
            return score
        # tanh does not overflow where exp would.
        return 0.5 * (1 + math.tanh(score / 2))


def _saved(kind: str, arrays: dict[str, Any]) -> bytes:
    try:
        _method({"kind": np.asarray(kind)} | {name: np.asarray(value) for name, value in arrays.items()})
    except ValueError as error:
        raise ExplainError(f"This model cannot be explained: {error}.") from error
    out = io.BytesIO()
    np.savez_compressed(out, kind=kind, **arrays)
    return out.getvalue()


def _method(arrays: dict[str, Any]) -> _Method:
    """Raises ValueError, KeyError or TypeError where these are not the arrays that were saved."""
    kind = str(arrays.pop("kind"))
    given = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    if kind == TREES:
        return TreeShap(Nodes(**given), N_FEATURES)
    if kind == LINEAR:
        return _Linear(**given)
    raise ValueError(f"it is of the kind {kind!r}, which is unknown")
