"""train: fit every family on the training side, judge all on the holdout, keep the best as the run's challenger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.edge.context import StepContext, StepResult
from jobs.edge.mllib import CHALLENGER_COLUMN, Rival, load_rival, publish_model
from jobs.edge.models import CANDIDATE, REFUSED, ModelVersion
from jobs.edge.tables import TableVersion
from jobs.model import training
from jobs.model.candidates import FAMILIES
from jobs.model.gate import BASELINE
from jobs.model.manifest import DataWindow, Manifest, Split
from jobs.runner import code_version
from jobs.transforms.features import with_features
from jobs.transforms.label import learnable, with_label
from jobs.transforms.predictions import with_all_predictions
from jobs.transforms.split import RULE, repeatable, sampled, with_split
from speed.contract import FEATURES

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame


def train(context: StepContext) -> StepResult:
    """Reads forms and the champion; writes a row of model_versions a family, and the folder of the best one.

    Raises MissingError without forms, and ContractError where they hold nothing to learn.
    """
    read = context.tables.version("forms")
    forms = with_label(with_split(learnable(context.tables.spark(context.spark, "forms", read.version))))
    rival = load_rival(context.spark, context.models)

    found = training.survey(forms)
    fitted, split = _fit(context, forms, found)
    models: dict[str, PipelineModel] = {each.family.name: each.model for each in fitted}
    held_out = sampled(forms.where("is_holdout"), training.MAX_HOLDOUT / found.holdout)
    columns = ["form_id", "views", "completion_rate"]
    predictions = with_all_predictions(held_out.select(*columns, *FEATURES), models | rival.models).drop(*FEATURES)
    holdout = predictions.toArrow().sort_by("form_id")
    scores = training.judge(holdout, models)
    best = training.winner(scores)

    common = _manifest(context, read, found, split, rival)
    papers = {each.family.name: common.of(each.family.name, each.family.params, scores) for each in fitted}
    kept = holdout.select([*columns, BASELINE, best, *rival.models])
    kept = kept.rename_columns([CHALLENGER_COLUMN if name == best else name for name in kept.column_names])
    artifact = publish_model(context.models, models[best], kept, papers[best])
    context.models.save([_row(paper, scores, artifact) for paper in papers.values()])
    return StepResult(
        message=training.summary(scores, split.fit_forms, holdout.num_rows),
        counts={"train_forms": found.train, "fit_forms": split.fit_forms, "holdout_forms": found.holdout},
        read=[read],
        wrote=[context.tables.version("model_versions")],
        metrics={(f"holdout_{metric}", name): value for name in scores for metric, value in scores[name].items()}
        | {("fit_seconds", each.family.name): each.seconds for each in fitted},
    )


def _fit(context: StepContext, forms: DataFrame, found: training.Survey) -> tuple[list[training.Fitted], Split]:
    """Every family, fitted on the sample of the training side, and how that sample was drawn."""
    settings = context.settings
    share = training.fit_share(found.train, settings.fit_fraction, settings.fit_all_below)
    sample = sampled(forms.where("not is_holdout"), share).select("form_id", "label", *FEATURES)
    partitions = training.fit_partitions(found.train * share, context.spark.sparkContext.defaultParallelism)
    rows = repeatable(sample, partitions).drop("form_id").persist()
    try:
        split = Split(
            rule=RULE,
            train_forms=found.train,
            holdout_forms=found.holdout,
            fit_fraction=share,
            fit_forms=rows.count(),
        )
        return training.fit_candidates(with_features(rows), settings.seed, FAMILIES), split
    finally:
        rows.unpersist()


def _manifest(
    context: StepContext, read: TableVersion, found: training.Survey, split: Split, rival: Rival
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
        seed=context.settings.seed,
        code_version=code_version(),
        created_at=context.started_at,
        champion=rival.version,
        note=rival.note,
    )


def _row(paper: Manifest, scores: training.Scores, artifact: tuple[str, str]) -> ModelVersion:
    """The row of model_versions: a candidate with its artifact, or one that lost and has none."""
    lost = training.reason_lost(paper.family, scores)
    uri, sha256 = ("", "") if lost else artifact
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
