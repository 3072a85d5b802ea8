"""How train fits: the sample of the training side, a search for better parameters if there is time, every family."""

from __future__ import annotations

import json
import math
from time import monotonic as clock
from typing import TYPE_CHECKING

from jobs.edge.artifacts import Rival
from jobs.edge.context import StepContext
from jobs.model import training
from jobs.model.families import Family, Params, families
from jobs.model.manifest import Split
from jobs.model.search import Trial, search
from jobs.transforms.features import with_features
from jobs.transforms.split import RULE, repeatable, sampled
from speed.contract import FEATURES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Metrics = dict[tuple[str, str], float]


def fit_families(
    context: StepContext, forms: DataFrame, found: training.Survey, rival: Rival
) -> tuple[list[training.Fitted], Split, Metrics]:
    """Every family that competes, fitted on the same rows; how those were drawn; and what a search has tried.

    forms: those with views, with their side and label. rival: the champion, whose parameters a search starts from.
    """
    settings = context.settings
    share = training.fit_share(found.train, settings.fit_fraction, settings.fit_all_below)
    columns = ("form_id", "views", "label", *FEATURES)
    partitions = training.fit_partitions(found.train * share, context.spark.sparkContext.defaultParallelism)
    rows = repeatable(sampled(forms.where("side = 'train'"), share).select(*columns), partitions).persist()
    try:
        split = Split(
            rule=RULE,
            train_forms=found.train,
            holdout_forms=found.holdout,
            fit_fraction=share,
            fit_forms=rows.count(),
        )
        chosen, tried = families(settings.families), Metrics()
        params = {family.name: family.params for family in chosen}
        if settings.search_seconds:
            unseen = sampled(forms.where("side = 'calibration'"), training.MAX_HOLDOUT / found.holdout)
            params, tried = _search(context, chosen, rows, share, unseen, rival)
        return training.fit_candidates(with_features(rows), settings.seed, chosen, params), split, tried
    finally:
        rows.unpersist()


def _search(  # noqa: PLR0917  (each is another thing, and the only caller names them alike)
    context: StepContext,
    chosen: tuple[Family, ...],
    rows: DataFrame,
    share: float,
    unseen: DataFrame,
    rival: Rival,
) -> tuple[dict[str, Params], Metrics]:
    """The best parameters of each family, and every trial.

    What is left of the budget is divided among the families still to search, by the logarithms of their choices: a
    straight line has few, boosting has thousands. Those with the most go first: where a fit takes longer than was
    foreseen, that is at the cost of those with little to find.
    """
    seed = context.settings.seed
    judges = with_features(unseen.select("form_id", "views", "label", *FEATURES)).persist()
    params = {family.name: family.params for family in chosen}
    searchable = sorted((family for family in chosen if family.space), key=lambda family: -family.choices)
    deadline = clock() + context.settings.search_seconds
    trials: list[tuple[str, Trial]] = []
    try:
        for at, family in enumerate(searchable):

            def fit_and_judge(params: Params, part: float, family: Family = family) -> float:
                native = family.fit(with_features(sampled(rows, share * part)), params, seed)
                return training.calibrated_loss(native.transform(judges), context.settings.objective)

            known = [rival.params] if rival.family == family.name else []
            shares = [math.log(1 + each.choices) for each in searchable[at:]]
            budget = (deadline - clock()) * shares[0] / sum(shares)
            params[family.name], tried = search(family, fit_and_judge, budget, seed, known=known, clock=clock)
            trials += [(family.name, trial) for trial in tried]
    finally:
        judges.unpersist()
    return params, _metrics(trials)


def _metrics(trials: list[tuple[str, Trial]]) -> Metrics:
    """Every trial as two numbers to watch; the slice says, as JSON, what was tried."""
    metrics = {}
    for number, (family, trial) in enumerate(trials):
        tried = {"trial": number, "family": family, "params": trial.params, "rows": trial.rows, "trees": trial.trees}
        metrics["trial_loss", json.dumps(tried)] = trial.loss
        metrics["trial_seconds", json.dumps(tried)] = trial.seconds
    return metrics
