"""promote: the run's challenger goes live if the held-out forms say that it is better; no JVM is started."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np

from jobs.edge.context import StepContext, StepResult
from jobs.edge.mllib import CHALLENGER_COLUMN, CHAMPION_COLUMN, find_readable_champion, read_holdout, read_manifest
from jobs.edge.models import REFUSED, ModelVersion
from jobs.errors import FormcastError, MissingError
from jobs.model.gate import BASELINE, Decision, decide


def promote(context: StepContext) -> StepResult:
    """Reads the challenger's holdout; writes its state. A refusal is a success as long as a champion is live.

    Raises MissingError where the run has no challenger, and FormcastError where it is refused and nothing is live.
    """
    models, challenger = context.models, _challenger(context)
    champion = find_readable_champion(models)
    if champion is not None and champion.version == challenger.version:
        # An attempt before this one got as far as that: decide again, as it did, to leave what it would have left.
        before = read_manifest(models.folder(challenger.version)).champion
        champion = models.get(before) if before else None

    decision = _decide(context, challenger, champion)

    if decision.promoted:
        models.promote(challenger.version, decision.reason)
        message = f"New champion. {decision.reason}"
    else:
        models.save([replace(challenger, state=REFUSED, reason=decision.reason)])
        if champion is None:
            raise FormcastError(f"There is no model to score with: {decision.reason} Train on more or other forms.")
        message = f"The champion stays. {decision.reason}"
    figures = {} if decision.interval is None else asdict(decision.interval)
    return StepResult(
        message=message,
        wrote=[context.tables.version("model_versions")],
        metrics={("mae_against_rival", name): value for name, value in figures.items()},
    )


def _challenger(context: StepContext) -> ModelVersion:
    """The one model of this run that has an artifact, whatever an earlier attempt made of its state."""
    for model in context.models.of_run(context.run_id):
        if model.artifact_uri:
            return model
    raise MissingError(f"Run {context.run_id} has no challenger: run its step `train` first.")


def _decide(context: StepContext, challenger: ModelVersion, champion: ModelVersion | None) -> Decision:
    """The gate's decision: against the champion, or against the baseline where there is none."""
    folder = context.models.verified_folder(challenger)
    judged_against = read_manifest(folder).champion
    version = champion.version if champion else None
    if judged_against != version:
        return Decision(
            False,
            f"{challenger.version} was judged against {judged_against or 'the baseline'}, but the champion is now "
            f"{version or 'gone'}: start a new run.",
        )
    holdout = read_holdout(folder)
    actual = holdout["completion_rate"].to_numpy()
    rival = CHAMPION_COLUMN if champion else BASELINE
    stale = timedelta(days=context.settings.stale_after_days)
    return decide(
        np.abs(holdout[CHALLENGER_COLUMN].to_numpy() - actual),
        np.abs(holdout[rival].to_numpy() - actual),
        names=(
            challenger.version,
            f"the champion {version}" if champion else "the baseline, a median for every form",
        ),
        stale=champion is not None and context.started_at - champion.created_at > stale,
        seed=context.settings.seed,
    )
