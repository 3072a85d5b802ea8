"""promote on models that are made up: their holdouts say how good they are. No Spark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from jobs.edge.artifacts import Artifact, publish_model
from jobs.edge.context import StepContext
from jobs.edge.ledger import Entry
from jobs.edge.models import CANDIDATE, ModelVersion
from jobs.model.evaluation import Evaluation, Parity, evaluate_all
from jobs.model.export import from_constant, raw_model
from jobs.model.manifest import DataWindow, Manifest, Split
from jobs.model.slices import Judged
from jobs.report.facts import gather
from jobs.runner import run_step
from jobs.steps.promote import promote

FIRST_NIGHT, N = datetime(2026, 1, 1, 2, tzinfo=UTC), 1_000
STANDARD_ERROR = 0.02 / np.sqrt(N)


def on(night: float) -> datetime:
    return FIRST_NIGHT + timedelta(days=night)


def holdout(standard_errors: float, rival: str) -> pa.Table:
    """Forms on which the challenger's MAE is off by so many standard errors from the rival's, which is 0.2."""
    random = np.random.default_rng(1)
    theirs, noise = 0.1 + 0.2 * random.random(N), random.normal(0, 0.02, N)
    mine = theirs + noise - noise.mean() + standard_errors * STANDARD_ERROR
    columns = {"form_id": np.arange(N).astype(str), "views": np.full(N, 10.0), "completion_rate": np.zeros(N)}
    return pa.table(columns | {"challenger": mine, "baseline": theirs, rival: theirs})


@cache
def some_evaluation() -> Evaluation:
    """Of it, promote only reads the parity."""
    views = np.full(N, 10.0)
    return evaluate_all(Judged(views, views * 0, views * 0, views * 0, views), {"gbt": views * 0}, "gbt", 0.9)


def train(context: StepContext, night: float, standard_errors: float, parity: float = 0.0) -> None:
    """Leave what the step does: a candidate that was judged against the champion there is."""
    models, champion = context.models, context.models.find_champion()
    version = f"{context.run_id}-gbt"
    forms = holdout(standard_errors, "champion" if champion else "baseline")
    manifest = Manifest(
        run_id=context.run_id,
        version=version,
        family="gbt",
        data=DataWindow(table_version=1, forms=N, first_ingested_at=on(0), last_ingested_at=on(0)),
        split=Split(rule="", train_forms=N, holdout_forms=N, fit_fraction=1, fit_forms=N),
        seed=1,
        code_version="",
        created_at=on(night),
        champion=champion.version if champion else None,
    )
    portable = raw_model(from_constant(0.5), {"version": version, "family": "gbt"})
    evaluation = msgspec.structs.replace(some_evaluation(), parity=Parity(rows=10, largest=parity, tolerance=1e-9))
    staged = models.files.workplace(f"models/{version}")
    uri, sha256 = publish_model(models, staged, Artifact(portable, None, forms, evaluation), manifest)
    row = ModelVersion(
        version, context.run_id, "gbt", {}, {"mae": 0.2, "r2": 0.1}, 1, uri, sha256, CANDIDATE, "", on(night)
    )
    models.save([row])


@pytest.fixture
def night(new_context):
    """`night(8, -2.7)`: the entry of a night whose challenger is better by so many standard errors, or worse."""

    def run(number: float, standard_errors: float, *, parity: float = 0.0, **settings: object) -> Entry:
        context = new_context("promote", f"night-{number}", **settings)
        train(context, number, standard_errors, parity)
        return run_step(promote, "promote", context.run_id, context.settings)

    return run


def reviews(context: StepContext) -> list[tuple[str, str, float]]:
    columns = "select run_id, slice, value from metrics where name = 'stale_review' order by value"
    return [tuple(row.values()) for row in context.tables.query(columns, "metrics")]


def test_promote_a_first_model_on_an_interval_of_95_percent(night, new_context):
    entry = night(0, -2.15)
    assert (
        entry.message.startswith("New champion. night-0-gbt is better than the baseline") and "95 %" in entry.message
    )
    context = new_context("promote")
    assert context.models.champion().version == "night-0-gbt" and reviews(context) == []
    facts = gather(context.tables, "night-0")
    assert facts.rival["confidence"] == 0.95 and facts.trained_at == on(0)


def test_promote_reviews_a_stale_champion_once_in_a_week(night, new_context):
    night(0, -9)
    context = new_context("promote")
    reasons = {
        7: "The champion stays. night-7-gbt is not shown",  # not stale yet
        8: "The champion stays. In a stale review, night-8-gbt is not shown to be better",
        9: "The champion stays. night-9-gbt is not shown",  # had its review
        14: "The champion stays. night-14-gbt is not shown",
    }
    for number, reason in reasons.items():
        assert night(number, -1.5 if number == 8 else -2.7).message.startswith(reason)
    assert reviews(context) == [("night-8", "night-0-gbt", on(8).timestamp())]
    passed = night(15, -2.7)
    assert passed.message.startswith(
        "New champion. In a stale review, night-15-gbt is better than the champion night-0"
    )
    assert "98 % interval" in passed.message
    assert reviews(context)[1:] == [("night-15", "night-0-gbt", on(15).timestamp())]
    assert night(16, -2.7).message.startswith("The champion stays. night-16-gbt is not shown")
    assert night(23, -2.7).message.startswith("New champion. In a stale review, night-23-gbt")


@pytest.mark.parametrize("standard_errors", [-2.7, -1.5])
def test_promote_done_again_decides_as_before_whatever_it_wrote(night, new_context, standard_errors):
    night(0, -9)
    first = night(8, standard_errors)
    context = new_context("promote", "night-8")
    before = context.models.all(), context.tables.metrics("night-8"), reviews(context)
    assert "In a stale review" in first.message
    for redo in (1, 2):
        again = run_step(promote, "promote", "night-8", new_context("promote", redo=redo).settings)
        assert again.finished_at > first.finished_at and again.message == first.message
        assert (context.models.all(), context.tables.metrics("night-8"), reviews(context)) == before


def test_promote_keeps_a_stale_champion_that_is_as_good_or_better(night, new_context):
    night(0, -9)
    for number, standard_errors in ((30, 0), (40, 2.7)):
        entry = night(number, standard_errors)
        assert entry.message.startswith("The champion stays. In a stale review")
    assert new_context("promote").models.champion().version == "night-0-gbt"


def test_promote_asks_for_the_least_gain_that_is_set(night, new_context):
    """9 standard errors are 2.8 % of the champion's loss."""
    night(0, -9)
    assert "but only by 2.8" in (message := night(1, -9, least_gain=0.05).message)
    assert "less than the least gain of 5%" in message
    assert night(2, -9).message.startswith("New champion.")


def test_promote_spends_no_review_on_what_cannot_go_live(night, new_context):
    night(0, -9)
    assert "differs from the fitted one" in night(8, -2.7, parity=1.0).message
    assert "It would have gone live. In a stale review" in night(9, -2.7, publish=False).message
    assert reviews(new_context("promote")) == []
    assert "New champion. In a stale review" in night(10, -2.7).message
