"""Exact path-dependent TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2, 56-67), all leaves at once.

The Shapley values of a leaf: each distinct feature i of its path is a player. When it is known, the form keeps to the
path or leaves it (o_i, 1 or 0); unknown, it keeps to it with the share of training rows that did (z_i). A set S of
known features is worth value * prod(o_i, i in S) * prod(z_i, i not in S). The weighted sum over all S is an integral,
    phi_i = value * (o_i - z_i) * integral over t from 0 to 1 of prod over j != i of (z_j (1 - t) + o_j t),
since a set of s among m - 1 others has the weight s! (m - 1 - s)! / m!, the integral of t^s (1 - t)^(m - 1 - s). Its
integrand is a polynomial of degree m - 1, for which m/2 points of Gauss-Legendre quadrature are exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAF = -1


class Nodes(NamedTuple):
    """An ensemble: base + sum over trees t of weights[t] * value[the leaf that the form reaches].

    roots, weights: (t,). The others: (n,), the nodes of all trees; left, right: positions in these arrays.
    """

    roots: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats
    cover: Floats
    weights: Floats
    base: float
    strict: bool
    float32: bool


class Paths(NamedTuple):
    """Ways from a root to a node, one a column: (d, n), a row for each of up to d distinct features of a path.

    share: training rows that kept to the path at the nodes of this feature; low, high: the bounds that a value must
    keep. Rows that a path does not need are of feature `n_features` and change nothing.
    """

    feature: NDArray[Any]
    share: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]


class TreeShap:
    """Explains single forms: 40 trees of depth 8 take 1 ms a form."""

    name = "exact path-dependent TreeSHAP"

    def __init__(self, nodes: Nodes, n_features: int) -> None:
        """Raises ValueError where the nodes are no trees of these features."""
        _check(nodes, n_features)
        self._n_features, self._strict, self._float32 = n_features, nodes.strict, nodes.float32
        self._value, self._paths = _paths_to_leaves(nodes, n_features)
        self._constant = float(nodes.base)
        # The mean prediction as the paths give it: what a form is worth of which no feature is known.
        self.base = self._constant + float(self._value @ self._paths.share.prod(axis=0))
        at, weights = np.polynomial.legendre.leggauss(max(1, (len(self._paths.feature) + 1) // 2))
        self._quadrature = list(zip((at + 1) / 2, weights / 2, strict=True))

    def explain(self, features: Floats) -> tuple[Floats, float]:
        """Contributions (n_features,) of one form's features (n_features,), and its prediction."""
        x = np.append(features, 0.0)
        if self._float32:
            x = x.astype(np.float32).astype(np.float64)
        o, z = self._keeps(x[self._paths.feature]), self._paths.share
        spread = np.zeros_like(z)
        for t, weight in self._quadrature:
            spread += weight * _products_of_others(z + (o - z) * t)
        effects = self._value * (o - z) * spread
        sums = np.bincount(self._paths.feature.ravel(), effects.ravel(), minlength=self._n_features + 1)
        prediction = self._constant + float(self._value @ o.prod(axis=0))
        return sums[: self._n_features].astype(np.float64), prediction

    def _keeps(self, x: Floats) -> Floats:
        """1 where a value keeps to the path. NaN goes right, so it keeps to what has no upper bound."""
        low, high = self._paths.low, self._paths.high
        within = (x < high) if self._strict else (x <= high)
        short = (x < low) if self._strict else (x <= low)
        return np.asarray((within | np.isposinf(high)) & ~short, dtype=np.float64)


def _paths_to_leaves(nodes: Nodes, n_features: int) -> tuple[Floats, Paths]:
    """(n,) the weighted values of all leaves, and the paths to them; all trees go down a level at a time."""
    node, weight = nodes.roots, nodes.weights
    paths = _empty(len(node), n_features)
    values, ended = [], []
    while len(node):
        inner = nodes.feature[node] != LEAF
        values.append(weight[~inner] * nodes.value[node[~inner]])
        ended.append(Paths(*(array[:, ~inner] for array in paths)))
        paths = _longer(Paths(*(array[:, inner] for array in paths)), nodes, node[inner], n_features)
        node = np.concatenate([nodes.left[node[inner]], nodes.right[node[inner]]])
        weight = np.tile(weight[inner], 2)
    rows = max(int((each.feature < n_features).sum(axis=0).max(initial=0)) for each in ended)
    same = [_of_height(each, rows, n_features) for each in ended]
    return np.concatenate(values), Paths(*(np.hstack(arrays) for arrays in zip(*same, strict=True)))


def _longer(paths: Paths, nodes: Nodes, node: Ints, n_features: int) -> Paths:
    """Paths to inner nodes, one split longer: first all that go left there, then all that go right."""
    paths = _of_height(paths, len(paths.feature) + 1, n_features)
    split, threshold = nodes.feature[node], nodes.threshold[node]
    # The row of the feature where the path has met it before, else the first that is free.
    met = paths.feature == split
    row = np.where(met.any(axis=0), met.argmax(axis=0), (paths.feature == n_features).argmax(axis=0))
    feature, share, low, high = (np.hstack([array, array]) for array in paths)
    goes_left = row, np.arange(len(node))
    goes_right = row, goes_left[1] + len(node)
    left, right = nodes.cover[nodes.left[node]], nodes.cover[nodes.right[node]]
    feature[goes_left] = feature[goes_right] = split
    share[goes_left] *= left / (left + right)
    share[goes_right] *= right / (left + right)
    low[goes_right] = np.maximum(low[goes_right], threshold)
    high[goes_left] = np.minimum(high[goes_left], threshold)
    return Paths(feature, share, low, high)


def _of_height(paths: Paths, rows: int, n_features: int) -> Paths:
    """The same paths with this many rows: those that are dropped must be free."""
    more = _empty(paths.feature.shape[1], n_features, max(0, rows - len(paths.feature)))
    return Paths(*(np.vstack([array[:rows], added]) for array, added in zip(paths, more, strict=True)))


def _empty(count: int, n_features: int, rows: int = 0) -> Paths:
    shape = rows, count
    return Paths(np.full(shape, n_features), np.ones(shape), np.full(shape, -np.inf), np.full(shape, np.inf))


def _products_of_others(terms: Floats) -> Floats:
    """(d, n): in each column, the product of all but each; no division, as a term may be 0."""
    before, after = np.ones_like(terms), np.ones_like(terms)
    for i in range(1, len(terms)):
        np.multiply(before[i - 1], terms[i - 1], out=before[i])
        np.multiply(after[-i], terms[-i], out=after[-i - 1])
    return before * after


def _check(nodes: Nodes, n_features: int) -> None:
    n = nodes.feature.size
    lengths = [array.shape == (n,) for array in nodes[1:7]]
    if not all(lengths) or nodes.roots.shape != nodes.weights.shape or nodes.roots.ndim != 1 or not nodes.roots.size:
        raise ValueError("the arrays of the trees are of different lengths")
    inner = nodes.feature != LEAF
    if nodes.feature.min() < LEAF or nodes.feature.max() >= n_features:
        raise ValueError("a tree splits on a feature that is none")
    reached = np.concatenate([nodes.roots, nodes.left[inner], nodes.right[inner]])
    if reached.min() < 0 or reached.max() >= n or len(np.unique(reached)) < len(reached):
        raise ValueError("the nodes do not hang together as trees")
    numbers = nodes.value, nodes.weights, nodes.cover, nodes.threshold[inner], np.array(nodes.base)
    if not all(np.isfinite(array).all() for array in numbers):
        raise ValueError("a tree has a value that is no number")
    together = nodes.cover[nodes.left[inner]] + nodes.cover[nodes.right[inner]]
    if nodes.cover.min() < 0 or (together <= 0).any():
        raise ValueError("a split has no training rows below it")
