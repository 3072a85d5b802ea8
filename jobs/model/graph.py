"""A graph of ONNX operations that grows node by node, all numbers float64."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Graph:
    """nodes and constants so far. `features` (n, 47) and `views` (n, 1) are there from the start."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def copy(self) -> Graph:
        return Graph(list(self.nodes), list(self.constants))

    def constant(self, value: ArrayLike) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=np.float64), name))
        return name

    def add(self, operation: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; answers the name of its output, or a list of them where there are many."""
        names = [f"{operation.lower()}_{len(self.nodes)}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(operation, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def trees(self, value: str, trees: Branches, targets: int = 1, *, strict: bool) -> str:
        """(n, targets) sums of the leaves that each row of `value` reaches. strict: left where <, not where <=."""
        is_leaf_left, is_leaf_right = trees.left < 0, trees.right < 0
        indices: dict[str, Any] = {
            "tree_roots": trees.roots,
            "nodes_featureids": trees.feature,
            "nodes_truenodeids": np.where(is_leaf_left, ~trees.left, trees.left),
            "nodes_trueleafs": is_leaf_left,
            "nodes_falsenodeids": np.where(is_leaf_right, ~trees.right, trees.right),
            "nodes_falseleafs": is_leaf_right,
            "leaf_targetids": trees.target,
        }
        modes = np.full(len(trees.feature), 1 if strict else 0, dtype=np.uint8)  # BRANCH_LT, BRANCH_LEQ
        return str(
            self.add(
                "TreeEnsemble",
                value,
                domain="ai.onnx.ml",
                n_targets=targets,
                aggregate_function=1,  # the sum
                nodes_splits=numpy_helper.from_array(trees.split),
                nodes_modes=numpy_helper.from_array(modes),
                leaf_weights=numpy_helper.from_array(trees.leaf),
                **{name: [int(each) for each in array] for name, array in indices.items()},  # type: ignore[arg-type]
            )
        )

    def lookup(self, value: str, edges: Floats, rows: Floats) -> str:
        """(n, t) the row of `rows` (b + 1, t) whose number is how many of the rising `edges` (b,) are <= value."""
        split: list[float] = []
        left: list[int] = []
        right: list[int] = []

        def grow(low: int, high: int) -> int:
            """A balanced tree over the rows low to high; answers its node, or a row as ~row."""
            if low == high:
                return ~low
            at, middle = len(left), (low + high + 1) // 2
            left.append(0)
            right.append(0)
            split.append(edges[middle - 1])
            left[at], right[at] = grow(low, middle - 1), grow(middle, high)
            return at

        if grow(0, len(edges)) < 0:  # one row for all: a tree needs a node all the same
            split, left, right = [0.0], [~0], [~0]
        # A leaf has one target: each target has a tree of its own, the same but for its leaves.
        nodes, leaves, targets = len(left), len(rows), rows.shape[1]
        shifts = [(target * nodes, target * leaves) for target in range(targets)]
        branches = Branches(
            roots=np.arange(targets) * nodes,
            feature=np.zeros(nodes * targets, np.int64),
            split=np.tile(np.array(split, np.float64), targets),
            left=np.concatenate([_shifted(np.array(left), *shift) for shift in shifts]),
            right=np.concatenate([_shifted(np.array(right), *shift) for shift in shifts]),
            leaf=np.ascontiguousarray(rows.T, dtype=np.float64).ravel(),
            target=np.repeat(np.arange(targets), leaves),
        )
        return self.trees(value, branches, targets, strict=True)


@dataclass(frozen=True)
class Branches:
    """Trees whose nodes all branch: left and right name a node, or a leaf as ~leaf.

    roots: (t,). feature, split, left, right: (n,). leaf, target: (l,) what a leaf adds, and to which target.
    """

    roots: Ints
    feature: Ints
    split: Floats
    left: Ints
    right: Ints
    leaf: Floats
    target: Ints


@dataclass(frozen=True)
class Raw:
    """The part of a graph that computes the raw prediction; output: its name, (n, 1)."""

    graph: Graph
    output: str


def _shifted(children: Ints, by_nodes: int, by_leaves: int) -> Ints:
    return np.where(children < 0, children - by_leaves, children + by_nodes)
