"""An ensemble of regression trees as plain arrays: what every tree family is, for export and explanation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """t trees with n nodes in all; a node's id is its position in the node arrays.

    roots: (t,) nodes. weights: (t,); a prediction is base + the sum of weights * value of the leaf that is reached.
    feature: (n,) index of the feature that is compared, -1 for a leaf. threshold: (n,); a form goes left where its
    feature is <= threshold (strict: <); NaN goes right. left, right: (n,) nodes, -1 for a leaf.
    value: (n,) mean prediction at the node, inner ones too. cover: (n,) weight of the training rows that reached it.
    float32: features are rounded to float32 before they are compared.
    """

    roots: Ints
    weights: Floats
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats
    cover: Floats
    base: float = 0.0
    strict: bool = False
    float32: bool = False
