"""Each family on a small frame: fitted, saved, exported, and scored without Spark as its own library scores."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.regression import GeneralizedLinearRegression
from pyspark.sql import functions as F
from scipy.optimize import minimize

from jobs.edge.native import SavedModel
from jobs.errors import MissingError, UsageError
from jobs.model import families as registry
from jobs.model.export import raw_model
from jobs.model.families import all_families, families
from jobs.model.logs import fit_on_logs, pooled
from jobs.transforms.features import with_features
from speed.contract import FEATURES
from speed.scorer import Scorer

SMALL = {"forest": {"numTrees": 5, "maxDepth": 4}, "gbt": {"lossType": "absolute", "maxIter": 5, "maxDepth": 3}}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """2,000 forms; every one shares its 47 values with three others, and one feature is 0 in all of them."""
    random = np.random.default_rng(3)
    X = np.tile(random.poisson(0.7, (500, 47)) * random.lognormal(0, 1, 47).round(2), (4, 1))
    X[:, 11] = 0
    views = random.integers(1, 300, 2_000)
    odds = np.log1p(X[:, 0]) - 0.5 * np.log1p(X[:, 5]) - 1
    label = np.round(random.binomial(views, 1 / (1 + np.exp(-odds))) / views * 2**16) / 2**16
    columns = {"form_id": np.arange(2_000).astype(str), "views": views, "label": label}
    return pa.table(columns | {name: X[:, i] for i, name in enumerate(FEATURES)})


@pytest.fixture(scope="module")
def rows(spark, table):
    return with_features(spark.createDataFrame(table.to_pandas()).repartition(2, "form_id")).persist()


@pytest.mark.parametrize("family", families(os.environ.get("FORMCAST_FAMILIES")), ids=lambda family: family.name)
def test_family_scores_alike_in_spark_and_without_it(spark, rows, table, family, tmp_path):
    params = SMALL.get(family.name, family.params)
    native = family.fit(rows, params, 1)
    for _ in range(2):  # what an earlier attempt saved gives way
        native.save(tmp_path, tmp_path.as_uri())
    found = native.transform(rows).select("form_id", "prediction").toPandas().set_index("form_id")["prediction"]
    wanted = found.loc[table["form_id"].to_pylist()].to_numpy()

    saved = SavedModel(tmp_path)
    portable = Scorer(raw_model(family.portable(saved), {"family": family.name}))
    features = np.column_stack([table[name].to_numpy() for name in FEATURES])
    np.testing.assert_allclose(portable.score(features).rate, np.clip(wanted, 0, 1), rtol=0, atol=family.tolerance)
    assert len(set(wanted)) > 1 or family.name == "baseline"

    again = family.fit(rows, params, 1).transform(rows).select("form_id", "prediction").toPandas()
    np.testing.assert_allclose(again.set_index("form_id")["prediction"].loc[found.index], found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("flags", [False, True])
def test_glm_of_pooled_rows_is_that_of_single_rows(rows, flags):
    estimator = GeneralizedLinearRegression(family="binomial", link="logit", regParam=1e-6)
    wanted, found = (
        fit_on_logs(rows, estimator, weight=F.col("views"), flags=flags, pool=pool).stages[-1]
        for pool in (False, True)
    )
    assert found.coefficients.size == (92 if flags else 46)  # without those of the feature that is 0 in all forms
    np.testing.assert_allclose(found.coefficients.toArray(), wanted.coefficients.toArray(), atol=1e-9)
    assert found.intercept == pytest.approx(wanted.intercept, abs=1e-9)


def test_pooled_keeps_weights_and_weighted_means(rows, table):
    found = pooled(rows, F.col("views")).toPandas()
    frame = table.to_pandas()
    frame["subs"] = frame.views * frame.label
    wanted = frame.groupby(list(FEATURES), as_index=False)[["views", "subs"]].sum()
    both = found.merge(wanted, on=list(FEATURES))
    assert len(found) == len(both) == 500
    assert both.weight.tolist() == both.views.tolist()
    np.testing.assert_allclose(both.label, both.subs / both.views, rtol=1e-12)


def test_glm_is_the_maximum_of_the_binomial_likelihood(rows, table):
    """Against a minimiser that knows nothing of reweighting."""
    (glm,) = (family for family in families() if family.name == "glm")
    model = glm.fit(rows, glm.params | {"flags": False}, 1).pipeline.stages[-1]
    X = np.log1p(np.column_stack([table[name].to_numpy() for name in FEATURES]))
    X = np.column_stack([np.ones(len(X)), X])
    y, views = table["label"].to_numpy(), table["views"].to_numpy().astype(float)

    def loss(beta):
        odds = X @ beta
        rate = 1 / (1 + np.exp(-odds))
        return views @ (np.logaddexp(0, odds) - y * odds) / views.sum(), X.T @ (views * (rate - y)) / views.sum()

    best = minimize(loss, np.zeros(48), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 5_000})
    np.testing.assert_allclose([model.intercept, *model.coefficients.toArray()], np.delete(best.x, 12), atol=2e-3)


def test_families_are_those_named_and_the_baseline(monkeypatch):
    assert [family.name for family in families()] == ["baseline", "forest", "gbt", "glm", "linear"]
    assert [family.name for family in families(" gbt,glm")] == ["baseline", "gbt", "glm"]
    with pytest.raises(UsageError, match=r"no model family 'gtb': choose among baseline, dnn, forest"):
        families("gbt,gtb")
    with pytest.raises(UsageError, match="yardstick"):
        families("baseline")
    monkeypatch.setattr(registry, "find_spec", lambda _name: None)
    with pytest.raises(MissingError, match=r"`pip install formcast\[dnn\]`"):
        families("dnn")
    assert all(family.grows in family.params for family in all_families() if family.grows)
