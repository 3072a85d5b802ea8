"""What a report says, gathered from the lake. What cannot be read is left out, and a note says so. No JVM."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.edge.artifacts import read_evaluation, read_manifest
from jobs.edge.delta_errors import READ_ERRORS, first_line
from jobs.edge.ledger import SUCCEEDED, Entry, Ledger
from jobs.edge.lineage import model_of, scores
from jobs.edge.models import Models, ModelVersion
from jobs.edge.published import LOST, SINCE
from jobs.edge.summary import Summary, summarize
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError
from jobs.report.drift import Drift, drift_between

if TYPE_CHECKING:
    from jobs.model.evaluation import Evaluation
    from jobs.model.manifest import Manifest

EXAMPLES_A_REASON, MAX_EXAMPLES = 2, 12


@dataclass(frozen=True)
class Refused:
    """A line in quarantine, as it stood in the input, with the codes of what is wrong with it."""

    line: str
    reasons: list[str]
    source_file: str


@dataclass(frozen=True)
class Judged:
    """A model and what is known of it; None where its folder does not say."""

    model: ModelVersion
    manifest: Manifest | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Facts:
    """One run.

    live: the model of its predictions (where it made none, today's champion); challenger: the best that it trained;
    before: the last run before it that scored forms, and its model; rival: how the challenger's MAE compares with
    that of the model that was live, by `difference`, `lower`, `upper` and `confidence` (0.95 if it is missing);
    trained_at: when the last model was trained, by this run or before it; lost: a sentence about forms that are gone.
    """

    summary: Summary
    entries: list[Entry]
    made_at: datetime
    live: Judged | None = None
    challenger: Judged | None = None
    before: Summary | None = None
    live_before: Judged | None = None
    rival: dict[str, float] = field(default_factory=dict)
    trained_at: datetime | None = None
    refused: list[Refused] = field(default_factory=list)
    drift: Drift | None = None
    lost: str = ""
    notes: list[str] = field(default_factory=list)


def gather(tables: Tables, run_id: str) -> Facts:
    """Everything that the lake knows about a run. Raises MissingError where it does not know the run."""
    summary = summarize(tables, run_id)
    models, notes = Models(tables), list[str]()
    everything = Ledger(tables).entries()
    entries = [entry for entry in everything if entry.run_id == run_id]
    before = _run_before(everything, run_id)
    trained = [model for model in models.of_run(run_id) if model.artifact_uri]
    watched, ended = tables.metrics(run_id), max(entry.finished_at for entry in entries)
    monitored = next((entry for entry in reversed(entries) if entry.step == "monitor"), None)
    earlier = _compared_with(everything, monitored) if monitored else ""
    return Facts(
        summary=summary,
        entries=list({entry.step: entry for entry in entries}.values()),
        made_at=datetime.now(UTC),
        live=_judged(models, _live_model(tables, models, entries, notes), notes),
        challenger=_judged(models, trained[0] if trained else None, notes),
        before=summarize(tables, before[0].run_id) if before else None,
        live_before=_judged(models, _model_of(tables, models, before, notes), notes) if before else None,
        rival={part: value for (name, part), value in watched.items() if name == "mae_against_rival"},
        trained_at=max((model.created_at for model in models.all() if model.created_at <= ended), default=None),
        refused=_refused(tables, run_id),
        drift=drift_between(watched, tables.metrics(earlier), earlier) if earlier else None,
        lost=monitored.details.get(LOST, "") if monitored else "",
        notes=list(dict.fromkeys(notes)),
    )


def newest_run(tables: Tables) -> str:
    """The last run that ingested or scored forms. Raises MissingError where there is none."""
    runs = [entry.run_id for entry in Ledger(tables).entries() if entry.step in ("prepare", "score")]
    if not runs:
        raise MissingError(f"No run yet in {tables.lake}: `make run` makes the first.")
    return runs[-1]


def _run_before(entries: list[Entry], run_id: str) -> list[Entry]:
    """The entries of the last run that started before this one and scored every form."""
    start = min(entry.started_at for entry in entries if entry.run_id == run_id)
    scored = [
        e.run_id
        for e in entries
        if e.step == "score" and e.status == SUCCEEDED and e.started_at < start and e.run_id != run_id
    ]
    return [entry for entry in entries if scored and entry.run_id == scored[-1]]


def _compared_with(entries: list[Entry], monitored: Entry) -> str:
    """The run whose input facts were compared with those of a run that was monitored; empty for none."""
    if SINCE in monitored.details:
        return monitored.details[SINCE]
    # Entries of earlier versions do not say: they compared with the last run that was monitored.
    earlier = [e for e in entries if e.run_id != monitored.run_id and e.step == "monitor" and e.status == SUCCEEDED]
    before = [e.run_id for e in earlier if e.started_at < monitored.started_at]
    return before[-1] if before else ""


def _live_model(tables: Tables, models: Models, entries: list[Entry], notes: list[str]) -> ModelVersion | None:
    """The model of the run's predictions, else, with a note, the champion of today."""
    model = _model_of(tables, models, entries, notes)
    if model is not None:
        return model
    champion = models.find_champion()
    if champion is not None:
        notes.append(
            "The predictions of this run were not made, or cannot be read any more or for now: the model shown is "
            f"the champion of today, {champion.version}."
        )
    return champion


def _model_of(tables: Tables, models: Models, entries: list[Entry], notes: list[str]) -> ModelVersion | None:
    """The model of a run's predictions."""
    scored = scores(entries)
    try:
        version = model_of(tables, scored[-1]) if scored else None
    except READ_ERRORS as error:
        notes.append(f"The predictions of run {scored[-1].run_id} cannot be read for now: {first_line(error)}.")
        return None
    return models.get(version) if version else None


def _judged(models: Models, model: ModelVersion | None, notes: list[str]) -> Judged | None:
    if model is None:
        return None
    found = dict[str, Any]()
    for name, read in (("manifest", read_manifest), ("evaluation", read_evaluation)):
        try:
            found[name] = read(models.folder(model.version))
        except FormcastError as error:
            notes.append(str(error))
    return Judged(model, **found)


def _refused(tables: Tables, run_id: str) -> list[Refused]:
    """Some lines of each first reason."""
    rows = tables.query(
        "select line, reasons, source_file from (select line, reasons, source_file, row_number() over "
        f"(partition by reasons[1] order by line) as nth from rejected_forms where run_id = '{run_id}' "
        f"and not array_has(reasons, 'superseded_duplicate')) where nth <= {EXAMPLES_A_REASON} "
        f"order by nth, reasons[1] limit {MAX_EXAMPLES}",
        "rejected_forms",
    )
    return [Refused(**row) for row in rows]
