"""What a run did, gathered from the ledger, the metrics and the model versions. No JVM."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jobs.edge.files import LakeFiles
from jobs.edge.ledger import SUCCEEDED, Entry, Ledger
from jobs.edge.models import Models, ModelVersion
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from jobs.errors import MissingError
from jobs.model.gate import BASELINE
from speed.reasons import REASONS


class StepLine(msgspec.Struct, frozen=True):
    """A step's last attempt in this run. seconds: its work, without the start of its process."""

    step: str
    status: str
    seconds: float
    message: str


class CandidateLine(msgspec.Struct, frozen=True):
    """A family's result on the holdout. gain: share by which its MAE is below the baseline's."""

    family: str
    version: str
    mae: float
    r2: float
    gain: float
    state: str
    reason: str


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list of them. Counts are None where the run did not come so far."""

    run_id: str
    started_at: datetime
    seconds: float
    status: str
    read: int | None
    rejected: int | None
    forms: int | None
    published: int | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a person asks about it. Counts are lines of the input; reasons say why lines were refused.

    candidates: the least error first; candidates_note says why that one was not chosen, where it was not.
    """

    run_id: str
    status: str
    lake: str
    counts: dict[str, int]
    reasons: dict[str, int]
    candidates: list[CandidateLine]
    candidates_note: str = ""
    champion: str | None
    champion_reason: str
    warning: str
    predictions: str
    scored: int
    generation: str | None
    steps: list[StepLine]
    seconds: float


def summarize(tables: Tables, run_id: str) -> Summary:
    """Raises MissingError where the ledger does not know the run."""
    entries = Ledger(tables).entries(run_id)
    if not entries:
        raise MissingError(f"There is no run {run_id!r} in {tables.lake}: `formcast runs` lists those there are.")
    last = {entry.step: entry for entry in entries}
    models = Models(tables)
    champion = models.find_champion()
    live, files = Serving(tables).live(), LakeFiles(tables.lake)
    counts = {name: value for entry in last.values() for name, value in entry.counts.items()}
    watched, trained = tables.metrics(run_id), models.of_run(run_id)
    return Summary(
        run_id=run_id,
        status=run_status(list(last.values())),
        lake=files.place("").rstrip("/"),
        counts={
            name: counts[name] for name in ("read", "accepted", "rejected", "duplicates", "forms") if name in counts
        },
        reasons=_reasons(watched),
        candidates=_candidates(trained),
        candidates_note=_note(trained),
        champion=champion.version if champion else None,
        champion_reason=_message(last, "promote") or (champion.reason if champion else ""),
        warning=_message(last, "monitor"),
        predictions=files.place("predictions"),
        scored=counts.get("scored", 0),
        generation=live.generation if live else None,
        steps=[StepLine(e.step, e.status, e.seconds, e.message) for e in last.values()],
        seconds=(max(e.finished_at for e in entries) - min(e.started_at for e in entries)).total_seconds(),
    )


def recent_runs(tables: Tables, last: int) -> list[RunLine]:
    """The newest runs, newest last."""
    entries = Ledger(tables).entries()
    names = list(dict.fromkeys(entry.run_id for entry in entries))[-last:]
    return [_run_line([entry for entry in entries if entry.run_id == name]) for name in names]


def _run_line(entries: list[Entry]) -> RunLine:
    steps = {entry.step: entry for entry in entries}
    counts = {name: value for entry in steps.values() for name, value in entry.counts.items()}
    start = min(entry.started_at for entry in steps.values())
    return RunLine(
        run_id=entries[0].run_id,
        started_at=start,
        seconds=(max(entry.finished_at for entry in steps.values()) - start).total_seconds(),
        status=run_status(list(steps.values())),
        **{name: counts.get(name) for name in ("read", "rejected", "forms", "published")},
    )


def run_status(entries: list[Entry]) -> str:
    """Of the last entry of each step: failed where one failed, else what the newest says."""
    failed = [entry.step for entry in entries if entry.status != SUCCEEDED]
    return f"failed at {failed[0]}" if failed else SUCCEEDED


def reason_words(code: str) -> str:
    return REASONS.get(code, code)


def _message(last: dict[str, Entry], step: str) -> str:
    return last[step].message if step in last else ""


def _reasons(watched: dict[tuple[str, str], float]) -> dict[str, int]:
    found = {code: int(value) for (name, code), value in watched.items() if name == "rejected"}
    found.pop("superseded_duplicate", None)  # counted as duplicates
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _note(trained: list[ModelVersion]) -> str:
    """trained: of one run. The one that was chosen has files."""
    chosen = [model for model in trained if model.artifact_uri]
    best = min(trained, key=lambda model: model.metrics["mae"], default=None)
    if not chosen or best in chosen:
        return ""
    return f"{chosen[0].family} was chosen, on other forms: these are new to all families, and only judge."


def _candidates(models: list[ModelVersion]) -> list[CandidateLine]:
    base = next((model.metrics["mae"] for model in models if model.family == BASELINE), None)
    lines = [
        CandidateLine(
            family=model.family,
            version=model.version,
            mae=model.metrics["mae"],
            r2=model.metrics["r2"],
            gain=1 - model.metrics["mae"] / base if base else 0.0,
            state=model.state,
            reason=model.reason,
        )
        for model in models
    ]
    return sorted(lines, key=lambda line: line.mae)
