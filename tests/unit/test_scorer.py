"""The portable model against naive loops and plain numpy, and what it refuses to load."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from test_explain import goes_left, random_trees

from jobs.model.calibration import IDENTITY, Calibration
from jobs.model.export import from_constant, from_dense, from_linear, from_trees, portable_model, raw_model
from jobs.model.intervals import Interval
from jobs.model.trees import Trees
from speed.contract import FEATURES
from speed.scorer import ModelError, Scorer

N = len(FEATURES)


def walked(trees, x):
    """A prediction as anybody would compute it: down every tree, one node after the other."""
    total = trees.get("base", 0.0)
    for weight, at in zip(trees["weights"], trees["roots"], strict=True):
        while trees["feature"][at] != -1:
            at = trees["left" if goes_left(trees, x, at) else "right"][at]  # noqa: PLW2901
        total += weight * trees["value"][at]
    return total


@pytest.mark.parametrize("mode", [{}, {"strict": True}, {"strict": True, "float32": True}])
@pytest.mark.parametrize("depth", [0, 1, 3, 8])  # 0: every tree is a single leaf
def test_trees_score_as_a_walk_down_each_of_them(depth, mode):
    random = np.random.default_rng(depth)
    trees = random_trees(random, 12, depth, range(N)) | mode
    X = random.choice([0.0, 0.25, 0.5, 0.75, 0.1 + 0.2, 1e6], size=(300, N))  # often a threshold itself
    X[:20] = random.random((20, N))
    X[::7, ::3] = np.nan
    found = Scorer(raw_model(from_trees(Trees(**trees)), {})).score(X)
    np.testing.assert_allclose(found.rate, [walked(trees, x) for x in X], rtol=0, atol=1e-12)
    assert np.isnan(found.lower).all() and np.isnan(found.upper).all()


def test_linear_and_dense_models_score_as_numpy():
    random = np.random.default_rng(1)
    X = random.poisson(0.5, (200, N)) * random.lognormal(0, 2, (200, N))
    logs, b = np.log1p(X), random.normal(size=N)
    flags = np.column_stack([logs, X > 0])
    w = [random.normal(size=shape) for shape in ((N, 8), (8,), (8, 8), (8,), (8, 1), (1,))]
    hidden = np.maximum(np.maximum(logs @ w[0] + w[1], 0) @ w[2] + w[3], 0)
    wanted = (
        (from_constant(0.25), np.full(200, 0.25)),
        (from_linear(b, 0.5, transform="raw", link="identity"), X @ b + 0.5),
        (
            from_linear([*b, *b], 0.5, transform="log1p_flags", link="logit"),
            1 / (1 + np.exp(-flags @ [*b, *b] - 0.5)),
        ),
        (from_dense(list(zip(w[::2], w[1::2], strict=True)), transform="log1p"), (hidden @ w[4] + w[5])[:, 0]),
    )
    for raw, values in wanted:
        np.testing.assert_allclose(Scorer(raw_model(raw, {})).score(X).rate, values, rtol=1e-11, atol=1e-12)


CALIBRATION = Calibration(np.array([-1.0, 0.0, 0.5, 2.0]), np.array([0.05, 0.1, 0.6, 0.9]))
INTERVAL = Interval(0.9, 0.1, np.array([5.0, 100.0]), np.array([1.0, 1.5, 0.0]), np.array([2.0, 1e12, 0.5]))


@pytest.mark.parametrize("calibration", [CALIBRATION, IDENTITY])
@pytest.mark.parametrize("rows", [0, 1, 65_536, 150_000])  # a run takes 65,536 at once
def test_portable_model_calibrates_clips_and_bounds(calibration, rows):
    random = np.random.default_rng(rows)
    X, b = random.random((rows, N)), random.normal(size=N)
    X[: rows // 2] *= random.lognormal(0, 1, (rows // 2, N))
    views = random.choice([np.nan, 0, 0.5, 1, 4, 5, 6, 99, 100, 101, 1e9], size=rows)
    model = portable_model(
        from_linear(b, 0.3, transform="raw", link="identity"), calibration, INTERVAL, {"version": "v"}
    )
    scorer = Scorer(model, threads=2)
    found = scorer.score(X, views)

    raw = X @ b + 0.3
    rate = np.clip(np.interp(raw, calibration.x, calibration.y) if len(calibration.x) else raw, 0, 1)
    bounds = INTERVAL.bounds(rate, views)
    np.testing.assert_allclose(np.stack(found), np.stack([rate, *bounds]), rtol=0, atol=1e-12)
    without = scorer.score(X)
    np.testing.assert_array_equal(without.rate, found.rate)
    assert np.isnan(without.lower).all()
    for i in range(min(rows, 20)):
        alone = [np.nan if each is None else each for each in scorer.score_one(X[i].tolist(), views[i])]
        np.testing.assert_allclose(alone, [found.rate[i], found.lower[i], found.upper[i]], rtol=0, atol=1e-15)
    assert scorer.facts == {"version": "v", "coverage": "0.9", "features": ",".join(FEATURES)}


@pytest.mark.parametrize("knots", [1, 2, 7, 40])
def test_calibration_at_its_knots_between_and_beyond_them(knots):
    random = np.random.default_rng(knots)
    x = np.cumsum(random.random(knots) + 1e-6)
    calibration = Calibration(x, np.sort(random.random(knots)))
    raw = np.concatenate([x, np.nextafter(x, -9), np.nextafter(x, 9), x + 0.3, [-50, x.max() + 50]])
    X = np.zeros((len(raw), N))
    X[:, 3] = raw
    model = from_linear(np.eye(N)[3], 0.0, transform="raw", link="identity")
    found = Scorer(portable_model(model, calibration, None, {})).score(X, np.full(len(raw), 9.0))
    np.testing.assert_allclose(found.rate, calibration.apply(raw), rtol=0, atol=1e-12)
    assert np.isnan(found.lower).all()


def test_what_cannot_score_is_refused(tmp_path):
    good = portable_model(from_constant(0.5), IDENTITY, None, {})
    file = tmp_path / "model.onnx"
    file.write_bytes(good)
    assert Scorer(file).score_one([0.0] * N) == (0.5, None, None)
    assert portable_model(from_constant(0.5), IDENTITY, None, {}) == good

    def altered(change):
        model = onnx.load_from_string(good)
        change(model)
        return model.SerializeToString()

    def reordered(model):
        (listed,) = [each for each in model.metadata_props if each.key == "features"]
        listed.value = ",".join(reversed(FEATURES))

    def narrowed(model):
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 46

    def renamed(model):
        model.graph.output[0].name = model.graph.node[-1].output[0] = "rates"

    for content, message in (
        (b"", "damaged or no ONNX model"),
        (b"junk" * 99, "damaged or no ONNX model"),
        (good[: len(good) // 2], "damaged or no ONNX model"),
        (altered(lambda model: model.ClearField("metadata_props")), "other features: unnamed"),
        (altered(reordered), "made for other features: feat_47,"),
        (altered(narrowed), "not one of Formcast's"),
        (altered(renamed), "not one of Formcast's"),
    ):
        with pytest.raises(ModelError, match=message):
            Scorer(content)
    with pytest.raises(ModelError, match="cannot be read"):
        Scorer(tmp_path / "none.onnx")


def test_want_of_memory_is_no_damage(monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(onnxruntime, "InferenceSession", exhausted)
    with pytest.raises(MemoryError):
        Scorer(b"whatever")
