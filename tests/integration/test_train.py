"""train and promote on a small lake: what they leave behind, also after a kill and on a second night."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest

from jobs.edge.artifacts import read_evaluation, read_holdout, read_manifest, read_portable
from jobs.edge.models import checksum
from jobs.edge.tables import Tables
from jobs.errors import ContractError, FormcastError, MissingError
from jobs.model.export import from_constant, raw_model
from jobs.model.families import families
from jobs.model.search import LEAST_GAIN
from jobs.schemas import FORMS
from jobs.steps.promote import promote
from jobs.steps.score import score
from jobs.steps.train import train
from jobs.transforms.predictions import with_predictions
from speed.contract import FEATURES
from speed.scorer import Scorer
from tests.trouble import failing_disk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = {"forest": {"numTrees": 3, "maxDepth": 3}, "gbt": {"maxIter": 3, "maxDepth": 3}}
SPACES = {"linear": {"flags": (False, True)}, "gbt": {"maxDepth": (2, 3), "stepSize": (0.06, 0.5)}}
QUICK = {"families": "linear,gbt"}


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    """The real families, with trees that grow in a second, and little to search."""

    def small(names):
        return tuple(
            replace(each, params=each.params | SMALL.get(each.name, {}), space=SPACES.get(each.name, {}))
            for each in families(names)
        )

    monkeypatch.setattr("jobs.steps.fitting.families", small)


def write_forms(lake: str, n: int = 1_500, signal: float = 0.5, views: int | None = None, seed: int = 0) -> None:
    """Forms whose rate steps up with feat_07, by `signal`; every tenth has no views."""
    random = np.random.default_rng(seed)
    X = random.poisson(1.0, (n, len(FEATURES))).astype(float)
    seen = np.where(np.arange(n) % 10 == 0, 0, random.integers(1, 200, n)) if views is None else np.full(n, views)
    subs = random.binomial(seen, 0.2 + signal * (X[:, 6] > 1))
    columns = {"form_id": [str(i) for i in range(n)], "views": seen, "submissions": subs}
    columns["completion_rate"] = [s / v if v else None for s, v in zip(subs, seen, strict=True)]
    columns |= {name: X[:, i] for i, name in enumerate(FEATURES)} | {"run_id": ["r"] * n, "ingested_at": [NOW] * n}
    tables = Tables(lake)
    tables.create("forms")
    tables.replace("forms", pa.table(columns, schema=FORMS).to_pylist())


def rows_of(context):
    """What train leaves in the table, less the time and the checksum of files that Spark names at random.

    Trees are equal to the last bit; sums of a straight line depend on the order in which many cores end.
    """
    return [
        (
            m.version,
            m.family,
            m.params,
            {k: round(v, 9) for k, v in m.metrics.items()},
            m.state,
            m.reason,
            m.artifact_uri > "",
        )
        for m in context.models.of_run(context.run_id)
    ]


def test_train_then_promote_then_a_second_night(spark, lake, new_context):
    write_forms(lake)
    context = new_context("train", "night-1")
    result = train(context)
    rows = rows_of(context)
    assert sorted(row[1] for row in rows) == ["baseline", "forest", "gbt", "glm", "linear"]
    assert [row[4] for row in rows if row[6]] == ["candidate"]
    assert sum(row[4] == "refused" for row in rows) == 4
    # Forms without views are on no side.
    draws = [
        int(hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32
        for i in range(1_500)
        if i % 10
    ]
    assert result.counts["holdout_forms"] == sum(draw < 0.2 for draw in draws)
    assert result.counts["train_forms"] == sum(draw >= 0.4 for draw in draws)
    assert result.metrics["holdout_mae", "gbt"] < result.metrics["holdout_mae", "baseline"]

    first = promote(context)
    assert promote(context) == replace(first, wrote=[context.tables.version("model_versions")])  # a retry
    told = ("difference", "lower", "upper", "confidence")
    assert set(first.metrics) == {("mae_against_rival", name) for name in told}
    champion = context.models.champion()
    assert champion.run_id == "night-1"
    assert "is better than the baseline" in champion.reason

    # The same forms again: the same model, which is no better than itself; the champion stays, and the step succeeds.
    second = new_context("train", "night-2")
    train(second)
    assert [row[2:4] for row in rows_of(second)] == [row[2:4] for row in rows]
    assert champion.version in promote(second).message
    (challenger,) = [model for model in second.models.of_run("night-2") if model.artifact_uri]
    assert (challenger.state, second.models.champion()) == ("refused", champion)
    assert "is not shown to be better than the champion" in challenger.reason
    holdout = read_holdout(second.models.verified_folder(challenger))
    assert holdout["champion"].to_pylist() == holdout["challenger"].to_pylist()

    # A stale champion is reviewed; for a model that is only as good, it stays all the same.
    stale = replace(champion, created_at=champion.created_at - timedelta(days=8))
    second.models.save([stale])
    reviewed = promote(second)
    assert "In a stale review" in reviewed.message and ("stale_review", champion.version) in reviewed.metrics
    assert second.models.champion() == stale


@pytest.mark.parametrize("moment", ["jobs.edge.artifacts.pq.write_table", "jobs.edge.models.Models.save"])
def test_train_killed_and_retried_leaves_what_one_run_does(spark, lake, new_context, monkeypatch, moment):
    write_forms(lake)
    clean = new_context("train", "clean", **QUICK)
    train(clean)
    wanted = [row[1:] for row in rows_of(clean)]

    context = new_context("train", "killed", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(moment, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(context)
    train(context)
    train(context)
    assert [row[1:] for row in rows_of(context)] == wanted
    (challenger,) = [model for model in context.models.of_run("killed") if model.artifact_uri]
    assert context.models.verified_folder(challenger)
    left = {path.name.split("-")[0] for path in Path(lake, "models").iterdir()}
    assert left == {"clean", "killed"}


def test_search_fits_what_did_best_and_tells_every_trial(spark, lake, new_context, monkeypatch):
    """On the forms that judge a search, the parameters that win are never worse than the fixed defaults."""
    # Each look at the clock is a quarter of a second, however fast the machine.
    monkeypatch.setattr("jobs.steps.fitting.clock", partial(next, itertools.count(0, 0.25)))
    write_forms(lake)
    context = new_context("train", search_budget="60s", **QUICK)
    metrics = train(context).metrics
    trials = {}
    for (metric, told), value in metrics.items():
        if metric == "trial_loss":
            trial = json.loads(told)
            trials.setdefault(trial["family"], []).append((trial["rows"], value, trial["params"]))
            assert metrics["trial_seconds", told] > 0
    assert set(trials) == {"linear", "gbt"}
    papers = {model.family: model for model in context.models.of_run("r1")}
    for family in families(QUICK["families"])[1:]:
        whole = [(mae, params) for rows, mae, params in trials[family.name] if rows == 1.0]
        defaults = family.params | SMALL.get(family.name, {})
        assert len(whole) > 1
        best, params = min(whole, key=lambda trial: trial[0])
        usual = next(mae for mae, tried in whole if tried == defaults)
        wanted = params if best <= (1 - LEAST_GAIN) * usual else defaults
        assert wanted.items() <= papers[family.name].params.items()


def test_saved_model_scores_as_it_was_judged(spark, lake, new_context):
    """What score will load gives, form by form, the rates that the model was judged by, and its papers say how."""
    write_forms(lake, signal=0.79)
    context = new_context("train")
    train(context)
    (challenger,) = [model for model in context.models.of_run("r1") if model.artifact_uri]
    folder = context.models.verified_folder(challenger)
    holdout, found = read_holdout(folder), read_evaluation(folder)
    forms = context.tables.spark(spark, "forms").select("form_id", "views", *FEATURES).toArrow()
    (batch,) = forms.combine_chunks().to_batches()
    scored = with_predictions(batch, Scorer(read_portable(folder))).to_pandas().set_index("form_id")
    assert len(scored) == 1_500 and scored["predicted_rate"].between(0, 1).all()
    assert holdout["challenger"].to_pylist() == scored.loc[holdout["form_id"].to_pylist(), "predicted_rate"].to_list()
    assert scored["lower"].isna().equals(scored["views"] == 0)
    sure = scored[scored["views"] > 0]
    assert ((sure["lower"] <= sure["predicted_rate"]) & (sure["predicted_rate"] <= sure["upper"])).all()
    paper = read_manifest(folder)
    assert paper.interval["coverage"] == found.coverage.nominal == 0.9
    assert found.parity.rows == holdout.num_rows and found.parity.largest < 1e-9
    assert found.families["gbt"]["mae"] == context.models.get("r1-gbt").metrics["mae"]


def test_a_portable_model_that_differs_from_the_fitted_one_is_never_promoted(spark, lake, new_context, monkeypatch):
    write_forms(lake)
    context = new_context("train", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(
            "jobs.steps.train.portable_model", lambda _raw, _map, _width, facts: raw_model(from_constant(0.5), facts)
        )
        train(context)
    with pytest.raises(FormcastError, match="differs from the fitted one"):
        promote(context)
    assert context.models.find_champion() is None


def test_promote_fails_where_nothing_would_be_live(spark, lake, new_context):
    """Noise only: no model beats the median, and there is no champion to fall back on."""
    write_forms(lake, signal=0)
    context = new_context("train", **QUICK)
    train(context)
    for _ in range(2):  # a retry says the same
        with pytest.raises(FormcastError, match=r"no model to score with.*not shown to be better than the baseline"):
            promote(context)
    assert context.models.find_champion() is None
    assert {model.state for model in context.models.of_run("r1")} == {"refused"}


def test_train_takes_a_champion_without_files_for_none(spark, lake, new_context):
    write_forms(lake)
    first = new_context("train", "night-1", **QUICK)
    train(first)
    promote(first)
    lost = first.models.champion().version
    (first.models.folder(lost) / "manifest.json").unlink()
    second = new_context("train", "night-2", **QUICK)
    train(second)
    for _ in range(2):  # a retry says the same
        message = promote(second).message
        assert "night-2" in message and "than the baseline" in message
        assert f"The champion {lost} counted as none: The files of model {lost}" in message


def test_promote_waits_for_a_disk_that_fails_and_its_retry_meets_the_champion(spark, lake, new_context, monkeypatch):
    write_forms(lake)
    for night in ("night-1", "night-2"):
        context = new_context("promote", night, **QUICK)
        train(context)
        if night == "night-1":
            promote(context)
    champion = context.models.champion()
    with monkeypatch.context() as patch:
        failing_disk(patch, f"models/{champion.version}")
        with pytest.raises(FormcastError, match="cannot be read for now"):
            promote(context)
    assert context.models.champion() == champion
    assert "candidate" in {model.state for model in context.models.of_run("night-2")}
    assert f"the champion {champion.version}" in promote(context).message


def flip_a_byte(folder):
    file = folder / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_off(folder):
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:500])


def of_other_features(folder):
    model = onnx.load(folder / "model.onnx")
    (listed,) = [each for each in model.metadata_props if each.key == "features"]
    listed.value = ",".join(reversed(FEATURES))
    onnx.save(model, folder / "model.onnx")


def with_other_papers(folder):
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace("feat_07", "colour"))


def test_damaged_models_neither_go_live_nor_score(spark, lake, new_context):
    """Each damage in turn to the challenger and to the champion; all but the first with a checksum that fits."""
    write_forms(lake)
    for night in ("night-1", "night-2"):
        train(new_context("train", night, **QUICK))
        promote(new_context("promote", night))
    context = new_context("score", "night-2")
    models = context.models
    score(context)
    before = context.tables.version("predictions")
    (challenger,) = [model for model in models.of_run("night-2") if model.artifact_uri]
    for step, version in ((promote, challenger.version), (score, models.champion().version)):
        folder, whole = models.folder(version), models.get(version)
        for damage, message in (
            (flip_a_byte, "were changed: train again"),
            (cut_off, "damaged or no ONNX model.*train again"),
            (of_other_features, r"made for other features: feat_47,.*train again"),
            (with_other_papers, r"trained on other features: .*colour.*train again"),
        ):
            kept = shutil.copytree(folder, folder.parent / ".kept")
            damage(folder)
            if damage is not flip_a_byte:
                models.save([replace(whole, artifact_sha256=checksum(folder))])
            live = models.champion()
            with pytest.raises(FormcastError, match=message):
                step(context)
            assert models.champion() == live
            assert context.tables.version("predictions") == before
            shutil.rmtree(folder)
            kept.rename(folder)
            models.save([whole])


def test_promote_refuses_a_challenger_that_was_judged_against_another_champion(spark, lake, new_context):
    write_forms(lake)
    old, new = new_context("train", "old", **QUICK), new_context("train", "new", **QUICK)
    train(old)
    train(new)
    promote(old)
    assert "start a new run" in promote(new).message
    assert new.models.champion().run_id == "old"


@pytest.mark.parametrize(
    ("forms", "words"),
    [({"n": 60}, "Too few"), ({"views": 0}, "Too few"), ({"views": 1, "signal": 0, "seed": 1}, None)],
)
def test_train_says_what_is_wrong_with_the_forms(spark, lake, new_context, forms, words):
    write_forms(lake, **forms)
    if words is None:
        Tables(lake).replace(
            "forms", [r | {"submissions": 1} for r in Tables(lake).query("select * from forms", "forms")]
        )
        words = "All 1,500 forms with views have the completion rate 1.0000"
    context = new_context("train")
    with pytest.raises(ContractError, match=words):
        train(context)
    assert context.models.all() == []


def test_train_without_forms_names_the_remedy(spark, new_context):
    with pytest.raises(MissingError, match="make run"):
        train(new_context("train"))
    with pytest.raises(MissingError, match="`train` first"):
        promote(new_context("promote"))
