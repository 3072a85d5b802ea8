"""score: the champion predicts every form, and the predictions are swapped in as one."""

from __future__ import annotations

from jobs.edge.artifacts import read_portable
from jobs.edge.context import Balance, StepContext, StepResult
from jobs.edge.files import LakeFiles
from jobs.edge.freshness import REHEARSAL, check_forms_age
from jobs.edge.lineage import MODEL
from jobs.edge.parts import add_action, delete_parts
from jobs.edge.pieces import pieces_of
from jobs.edge.scoring import ScorePlan, score_pieces
from jobs.errors import FormcastError


def score(context: StepContext) -> StepResult:
    """Reads forms and the champion's portable model, writes predictions.

    Raises MissingError without a champion, FormcastError where its files are not those that were trained.
    """
    if not context.settings.publish:
        return StepResult(message=REHEARSAL)
    forms, known = context.own("forms"), context.own("model_versions")
    check_forms_age(context, forms.version)
    champion = context.models.champion(known.version)
    files = LakeFiles(context.settings.lake)
    plan = ScorePlan(
        forms_folder=files.place("forms"),
        predictions_folder=files.place("predictions"),
        model=read_portable(context.models.verified_folder(champion)),
        model_version=champion.version,
        run_id=context.run_id,
        scored_at=context.started_at,
    )
    pieces = pieces_of(context.tables.delta("forms", forms.version), context.spark.sparkContext.defaultParallelism)

    written = score_pieces(context.spark, pieces, plan)
    whole = Balance("Forms", forms.rows, "predictions", sum(part["rows"] for part in written))
    try:
        whole.check()
    except FormcastError:
        delete_parts(plan.predictions_folder, written)
        raise
    context.tables.commit("predictions", map(add_action, written), run_id=context.run_id)
    return StepResult(
        message=f"{forms.rows:,} forms scored by {champion.version}.",
        counts={"scored": forms.rows},
        read=[forms, known],
        wrote=[context.tables.version("predictions")],
        balances=[whole],
        details={MODEL: champion.version},
    )
