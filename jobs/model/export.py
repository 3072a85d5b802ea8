"""A fitted model as an ONNX graph: features and views in; rate, lower and upper bound out. In float64 throughout.

features -> raw prediction (trees, a linear predictor, a dense network) -> calibration -> clip to [0, 1] -> interval.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper

from jobs.model.calibration import Calibration
from jobs.model.graph import Branches, Graph, Raw
from jobs.model.intervals import EDGE, Interval
from jobs.model.trees import Trees
from speed.contract import FEATURES
from speed.scorer import INPUTS, OUTPUT

Transform = Literal["raw", "log1p", "log1p_flags"]

# The first versions that hold TreeEnsemble in float64; newer ones would only shut out older runtimes.
_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
_IR_VERSION = 10


def from_constant(value: float) -> Raw:
    """The same prediction for every form."""
    graph = Graph()
    return Raw(graph, graph.lookup("views", np.empty(0), np.array([[value]])))


def from_linear(
    coefficients: ArrayLike, intercept: float, *, transform: Transform, link: Literal["identity", "logit"]
) -> Raw:
    """intercept + coefficients . transformed features, through the inverse of `link`.

    transform: "log1p" takes log(1 + feature); "log1p_flags" those, then whether each feature is over 0.
    """
    graph = Graph()
    output = _dense(graph, _transformed(graph, transform), np.reshape(coefficients, (-1, 1)), [intercept])
    return Raw(graph, graph.add("Sigmoid", output) if link == "logit" else output)


def from_dense(layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]], *, transform: Transform) -> Raw:
    """A network of (weights (inputs, outputs), biases (outputs,)), with ReLU between the layers."""
    graph = Graph()
    output = _transformed(graph, transform)
    for at, (weights, biases) in enumerate(layers):
        output = _dense(graph, graph.add("Relu", output) if at else output, weights, biases)
    return Raw(graph, output)


def from_trees(trees: Trees) -> Raw:
    """The weighted sum of trees."""
    is_leaf = trees.feature < 0
    # Nodes and leaves are numbered apart; a tree that is one leaf gets a node whose branches both end in it.
    lone = is_leaf[trees.roots]
    branching = np.flatnonzero(~is_leaf)
    number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    roots = number[trees.roots]
    roots[lone] = len(branching) + np.arange(lone.sum())
    ends = number[trees.roots[lone]]
    tree = np.searchsorted(trees.roots, np.arange(len(trees.feature)), side="right") - 1
    leaf = (trees.weights[tree] * trees.value)[is_leaf]
    leaf[tree[is_leaf] == 0] += trees.base
    graph = Graph()
    features = "features"
    if trees.float32:
        features = graph.add("Cast", graph.add("Cast", features, to=TensorProto.FLOAT), to=TensorProto.DOUBLE)
    branches = Branches(
        roots=roots,
        feature=np.concatenate([trees.feature[branching], np.zeros(len(ends), np.int64)]),
        split=np.concatenate([trees.threshold[branching], np.zeros(len(ends))]),
        left=np.concatenate([number[trees.left[branching]], ends]),
        right=np.concatenate([number[trees.right[branching]], ends]),
        leaf=leaf,
        target=np.zeros(len(leaf), np.int64),
    )
    return Raw(graph, graph.trees(features, branches, strict=trees.strict))


def raw_model(raw: Raw, facts: dict[str, str]) -> bytes:
    """The model without calibration and interval: its rate is the raw prediction, not even clipped."""
    graph = raw.graph.copy()
    bounds = graph.add("Add", raw.output, graph.constant([[np.nan, np.nan]]))
    return _model(graph, graph.add("Concat", raw.output, bounds, axis=1), facts)


def portable_model(raw: Raw, calibration: Calibration, interval: Interval | None, facts: dict[str, str]) -> bytes:
    """The model as it is judged and served. The same inputs give the same bytes.

    facts: what the model says of itself; its features, and the interval's coverage, are added.
    """
    graph = raw.graph.copy()
    zero, one = graph.constant(0.0), graph.constant(1.0)
    rate = graph.add("Clip", _calibrated(graph, raw.output, calibration), zero, one)
    if interval is None:
        bounds = graph.add("Add", rate, graph.constant([[np.nan, np.nan]]))
    else:
        is_seen = graph.add("GreaterOrEqual", "views", graph.constant([[1.0]]))
        bounds = graph.add("Clip", _bounds(graph, rate, interval), zero, one)
        bounds = graph.add("Where", is_seen, bounds, graph.constant([[np.nan]]))
        facts = facts | {"coverage": repr(interval.coverage)}
    return _model(graph, graph.add("Concat", rate, bounds, axis=1), facts)


def _transformed(graph: Graph, transform: Transform) -> str:
    if transform == "raw":
        return "features"
    logs = str(graph.add("Log", graph.add("Add", "features", graph.constant(1.0))))
    if transform == "log1p":
        return logs
    flags = graph.add("Cast", graph.add("Greater", "features", graph.constant(0.0)), to=TensorProto.DOUBLE)
    return str(graph.add("Concat", logs, flags, axis=1))


def _dense(graph: Graph, inputs: str, weights: ArrayLike, biases: ArrayLike) -> str:
    return str(graph.add("Gemm", inputs, graph.constant(weights), graph.constant(biases)))


def _calibrated(graph: Graph, raw: str, calibration: Calibration) -> str:
    """Linear between the knots, level beyond them: a tree finds the piece, its two targets are the piece's line."""
    x, y = np.asarray(calibration.x), np.asarray(calibration.y)
    if len(x) == 0:
        return raw
    slopes = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
    # Each line goes through the knot where its piece begins; before the first knot, through that.
    begins, heights = np.concatenate([x[:1], x]), np.concatenate([y[:1], y])
    lines = graph.lookup(raw, x, np.column_stack([heights - slopes * begins, slopes]))
    intercept, slope = graph.add("Split", lines, outputs=2, axis=1, num_outputs=2)
    return str(graph.add("Add", intercept, graph.add("Mul", slope, raw)))


def _bounds(graph: Graph, rate: str, interval: Interval) -> str:
    """(n, 2) rate - low * s and rate + high * s, with s and the quantiles as `Interval.bounds` has them."""
    q = graph.add("Clip", rate, graph.constant(EDGE), graph.constant(1 - EDGE))
    binomial = graph.add("Sub", q, graph.add("Mul", q, q))
    rho = interval.overdispersion
    per_view = graph.add("Div", graph.constant([[1 - rho]]), "views")
    variance = graph.add("Mul", binomial, graph.add("Add", per_view, graph.constant([[rho]])))
    quantiles = np.column_stack([-np.asarray(interval.low), np.asarray(interval.high)])
    widths = graph.lookup("views", np.asarray(interval.edges), quantiles)
    return str(graph.add("Add", rate, graph.add("Mul", graph.add("Sqrt", variance), widths)))


def _model(graph: Graph, scores: str, facts: dict[str, str]) -> bytes:
    double: Any = TensorProto.DOUBLE
    made = helper.make_graph(
        [*graph.nodes, helper.make_node("Identity", [scores], [OUTPUT])],
        "formcast",
        [helper.make_tensor_value_info(name, double, ["n", width]) for name, width in INPUTS.items()],
        [helper.make_tensor_value_info(OUTPUT, double, ["n", 3])],
        initializer=graph.constants,
    )
    model = helper.make_model(made, opset_imports=_OPSETS, ir_version=_IR_VERSION, producer_name="formcast")
    helper.set_model_props(model, dict(sorted((facts | {"features": ",".join(FEATURES)}).items())))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
