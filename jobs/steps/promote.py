"""promote: the run's challenger goes live if the held-out forms say that it is better; no JVM is started."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from jobs.edge.artifacts import (
    CHALLENGER_COLUMN,
    CHAMPION_COLUMN,
    find_readable_champion,
    read_evaluation,
    read_holdout,
    read_manifest,
    read_portable,
)
from jobs.edge.context import StepContext, StepResult
from jobs.edge.models import ARCHIVED, REFUSED, ModelVersion
from jobs.errors import FormcastError, MissingError
from jobs.model.gate import BASELINE, FIRST, Decision, Terms, decide, terms_against
from jobs.model.losses import LOSS_NAMES, losses

STALE_REVIEW = "stale_review"
"""The metric of a review: its slice is the champion's version, its value when the challenger was trained."""


def promote(context: StepContext) -> StepResult:
    """Reads the challenger's holdout; writes its state. A refusal is a success as long as a champion is live.

    Raises MissingError where the run has no challenger, and FormcastError where its files are damaged, or where it is
    refused and nothing is live.
    """
    models, challenger = context.models, _challenger(context)
    champion, why_none = find_readable_champion(models)
    if champion is not None and champion.version == challenger.version:
        # An attempt before this one got as far as that: decide again, as it did, to leave what it would have left.
        before = read_manifest(models.folder(challenger.version)).champion
        champion = models.get(before) if before else None

    decision = _decide(context, challenger, champion, why_none)

    if not context.settings.publish:
        verdict = "It would have gone live." if decision.promoted else "It would not have gone live."
        models.save([replace(challenger, state=ARCHIVED, reason=f"A rehearsal. {verdict} {decision.reason}")])
        message = f"Nothing goes live: this run is a rehearsal. {verdict} {decision.reason}"
    elif decision.promoted:
        models.promote(challenger.version, decision.reason)
        message = f"New champion. {decision.reason}"
    else:
        models.save([replace(challenger, state=REFUSED, reason=decision.reason)])
        if champion is None:
            raise FormcastError(f"There is no model to score with: {decision.reason} Train on more or other forms.")
        message = f"The champion stays. {decision.reason}"
    figures = {} if decision.interval is None else asdict(decision.interval)
    metrics = {("mae_against_rival", name): value for name, value in figures.items()}
    if champion is not None and decision.review and context.settings.publish:
        metrics[STALE_REVIEW, champion.version] = challenger.created_at.timestamp()
    return StepResult(message=message, wrote=[context.tables.version("model_versions")], metrics=metrics)


def _challenger(context: StepContext) -> ModelVersion:
    """The one model of this run that has an artifact, whatever an earlier attempt made of its state."""
    for model in context.models.of_run(context.run_id):
        if model.artifact_uri:
            return model
    raise MissingError(f"Run {context.run_id} has no challenger: run its step `train` first.")


def _decide(context: StepContext, challenger: ModelVersion, champion: ModelVersion | None, why_none: str) -> Decision:
    """The gate's decision: against the champion, or if there is none against the baseline; the reason says why."""
    folder = context.models.verified_folder(challenger)
    read_portable(folder)  # an error where it cannot score
    paper, parity = read_manifest(folder), read_evaluation(folder).parity
    version = champion.version if champion else None
    if paper.champion != version:
        return Decision(
            False,
            f"{challenger.version} was judged against {paper.champion or 'the baseline'}, but the champion is now "
            f"{version or 'gone'}: start a new run. {why_none}".rstrip(),
        )
    if parity is None or not parity.holds:
        how_far = (
            f"by {parity.largest:.3g}, where {parity.tolerance:g} may be" if parity else "by what nobody measured"
        )
        return Decision(
            False,
            f"The portable model of {challenger.version} differs from the fitted one {how_far}: it would not score "
            "as it was judged. Please report this with the log of train.",
        )
    holdout = read_holdout(folder)
    actual, views = holdout["completion_rate"].to_numpy(), holdout["views"].to_numpy()
    rival = CHAMPION_COLUMN if champion else BASELINE
    decision = decide(
        losses(paper.objective, actual, holdout[CHALLENGER_COLUMN].to_numpy(), views),
        losses(paper.objective, actual, holdout[rival].to_numpy(), views),
        names=(
            challenger.version,
            f"the champion {version}" if champion else "the baseline, one rate for every form",
        ),
        terms=_terms(context, challenger, champion) if champion else FIRST,
        seed=context.settings.seed,
        loss=LOSS_NAMES[paper.objective],
    )
    # What train said of the champion, so that a retry says it too, when this challenger is the champion.
    return decision if champion else replace(decision, reason=f"{decision.reason} {paper.note}".rstrip())


def _terms(context: StepContext, challenger: ModelVersion, champion: ModelVersion) -> Terms:
    """What the challenger must show. Reviews of this run do not count: a retry decides as the first attempt did."""
    rows = context.tables.query(
        f"select value from metrics where name = '{STALE_REVIEW}' and slice = '{champion.version}' "
        f"and run_id <> '{context.run_id}'",
        "metrics",
    )
    return terms_against(
        champion.created_at,
        challenger.created_at,
        [datetime.fromtimestamp(row["value"], UTC) for row in rows],
        stale_after=timedelta(days=context.settings.stale_after_days),
        least_gain=context.settings.least_gain,
    )
