"""train: fit every family on the training side, calibrate, judge all on the holdout, keep the best as challenger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.edge.artifacts import CHALLENGER_COLUMN, CHAMPION_COLUMN, Artifact, Rival, load_rival, publish_model
from jobs.edge.contenders import Contender, forget_contenders, save_contenders
from jobs.edge.context import StepContext, StepResult
from jobs.edge.ledger import SUCCEEDED
from jobs.edge.models import CANDIDATE, REFUSED, ModelVersion
from jobs.edge.tables import TableVersion
from jobs.model import training
from jobs.model.contest import Contest, compete
from jobs.model.examine import examine
from jobs.model.explanation import explanation_of
from jobs.model.export import portable_model, raw_model
from jobs.model.gate import BASELINE
from jobs.model.manifest import DataWindow, Manifest, Split
from jobs.runner import code_version
from jobs.steps.fitting import fit_families
from jobs.transforms.features import with_features
from jobs.transforms.label import learnable, with_label
from jobs.transforms.predictions import with_rates
from jobs.transforms.split import sampled, with_side
from speed.contract import FEATURES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Contenders = dict[str, Contender]


def train(context: StepContext) -> StepResult:
    """Reads forms and the champion; writes a row of model_versions a family, and the folder of the best one.

    Raises MissingError without forms, and ContractError where they hold nothing to learn.
    """
    read = context.own(context.forms_table)
    forms = with_label(with_side(learnable(context.tables.spark(context.spark, read.table, read.version))))
    rival = load_rival(context.models)

    found = training.survey(forms)
    fitted, split, tried = fit_families(context, forms, found, rival)
    contenders = save_contenders(context.models, _name(context), fitted)
    judged = _judged(forms, found, contenders, rival)
    contest = compete(judged, list(contenders), context.settings.objective, context.settings.coverage)
    scores = training.holdout_scores(contest.holdout, contenders)
    common = _manifest(context, read, found, split, rival)
    papers = {
        name: common.of(name, each.version, params=each.fitted.params, metrics=scores[name], **contest.facts_of(name))
        for name, each in contenders.items()
    }
    best = contenders[contest.best]
    sample = _parity_rows(forms, found, best)
    artifact = _artifact(context, contest, best, sample, papers[contest.best])

    published = publish_model(context.models, best.staged, artifact, papers[contest.best])
    forget_contenders(contenders)
    context.models.save([_row(paper, contest, scores, published) for paper in papers.values()])
    return StepResult(
        message=training.summary(contest.best, scores, split.fit_forms, contest.holdout.num_rows),
        counts={"train_forms": found.train, "fit_forms": split.fit_forms, "holdout_forms": found.holdout},
        read=[read],
        wrote=[context.tables.version("model_versions")],
        metrics={(f"holdout_{metric}", name): value for name in scores for metric, value in scores[name].items()}
        | {("fit_seconds", name): each.fitted.seconds for name, each in contenders.items()}
        | tried,
    )


def _name(context: StepContext) -> str:
    """What this run's models are called: trained again on purpose, they leave those that may be live as they are."""
    trained = [e for e in context.ledger.entries(context.run_id) if e.step == context.step and e.status == SUCCEEDED]
    return f"{context.run_id}.{len(trained) + 1}" if trained else context.run_id


def _judged(forms: DataFrame, found: training.Survey, contenders: Contenders, rival: Rival) -> pa.Table:
    """The forms that no fit has seen, with a raw prediction a family and the champion's rate."""
    models = {name: raw_model(each.raw, {"version": each.version}) for name, each in contenders.items()}
    unseen = sampled(forms.where("side != 'train'"), training.MAX_HOLDOUT / found.holdout)
    columns = ("form_id", "side", "views", "completion_rate")
    return with_rates(unseen.select(*columns, *FEATURES), models | rival.models).toArrow()


def _parity_rows(forms: DataFrame, found: training.Survey, best: Contender) -> pa.Table:
    """Held-out forms with their features and `prediction`, as the library of the best family gives it."""
    share = 1.1 * training.PARITY_ROWS / found.holdout  # a little more, as a share of hashes is not exact
    rows = sampled(forms.where("side = 'holdout'"), share).select("form_id", "views", "completion_rate", *FEATURES)
    predicted = best.fitted.native.transform(with_features(rows)).select(*rows.columns, "prediction")
    table = predicted.toArrow().sort_by("form_id")
    # Spread over all: ids rise with time, and the newest forms must be among them.
    return table.take(np.linspace(0, len(table) - 1, min(len(table), training.PARITY_ROWS)).astype(int))


def _artifact(context: StepContext, contest: Contest, best: Contender, sample: pa.Table, paper: Manifest) -> Artifact:
    """What is kept of the best family beside its native files."""
    facts = {"version": paper.version, "family": paper.family}
    rivals = [name for name in (BASELINE, contest.best, CHAMPION_COLUMN) if name in contest.holdout.column_names]
    holdout = contest.holdout.select(["form_id", "views", "completion_rate", *rivals])
    portable = portable_model(best.raw, contest.calibrations[contest.best], contest.interval, facts)
    return Artifact(
        portable=portable,
        explanation=explanation_of(best.fitted.family.explain(best.saved), sample),
        holdout=holdout.rename_columns([CHALLENGER_COLUMN if n == contest.best else n for n in holdout.column_names]),
        evaluation=examine(contest, portable, sample, best.fitted.family.tolerance, context.settings.seed),
    )


def _manifest(
    context: StepContext,
    read: TableVersion,
    found: training.Survey,
    split: Split,
    rival: Rival,
) -> Manifest:
    """What is true of every model of this run; the family's own facts are still to come."""
    return Manifest(
        run_id=context.run_id,
        data=DataWindow(
            table_version=read.version,
            forms=read.rows,
            first_ingested_at=found.first_ingested_at,
            last_ingested_at=found.last_ingested_at,
        ),
        split=split,
        objective=context.settings.objective,
        seed=context.settings.seed,
        code_version=code_version(),
        created_at=context.started_at,
        champion=rival.version,
        note=rival.note,
    )


def _row(paper: Manifest, contest: Contest, scores: training.Scores, published: tuple[str, str]) -> ModelVersion:
    """The row of model_versions: a candidate with its artifact, or one that lost and has none."""
    lost = training.reason_lost(paper.family, contest.best, scores, contest.loss, paper.objective)
    uri, sha256 = ("", "") if lost else published
    sampling = {"seed": paper.seed, "fit_fraction": paper.split.fit_fraction, "fit_forms": paper.split.fit_forms}
    return ModelVersion(
        version=paper.version,
        run_id=paper.run_id,
        family=paper.family,
        params=paper.params | sampling,
        metrics=paper.metrics,
        data_version=paper.data.table_version,
        artifact_uri=uri,
        artifact_sha256=sha256,
        state=REFUSED if lost else CANDIDATE,
        reason=lost,
        created_at=paper.created_at,
    )
