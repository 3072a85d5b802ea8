"""Is the run good, and what changed since the last one: one sentence, concerns, and a table. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.edge.ledger import SUCCEEDED

if TYPE_CHECKING:
    from jobs.edge.summary import Summary
    from jobs.model.evaluation import Coverage, Evaluation
    from jobs.report.facts import Facts, Judged

GOOD, LOOK, BAD = "good", "look", "bad"
# A report is read by people: what is under these is no news.
MANY_REJECTED = 0.01
COVERAGE_OFF, BUCKET_OFF = 0.01, 0.03
OLD_DAYS = 14
_EVERYTHING = 0.999  # the width of an interval from 0 to 1


@dataclass(frozen=True)
class Verdict:
    """kind: good, look (good, but look at the concerns) or bad. line: one sentence."""

    kind: str
    line: str
    concerns: list[str]


@dataclass(frozen=True)
class Change:
    """A fact before and now, as text; difference is empty where there is none to tell."""

    what: str
    before: str
    now: str
    difference: str = ""


def verdict(facts: Facts) -> Verdict:
    """Bad where a step failed or nothing was scored; else good, with what deserves a look."""
    summary = facts.summary
    failed = [line for line in summary.steps if line.status != SUCCEEDED]
    if failed:
        stays = (
            ""
            if any(line.step == "publish" and line.status == SUCCEEDED for line in summary.steps)
            else (" Predictions that were live before stay live.")
        )
        return Verdict(BAD, f"Failed at {failed[0].step}: {failed[0].message}{stays}", [])
    if not summary.scored:
        return Verdict(BAD, "Nothing was scored: the run has not come to its end.", [])
    concerns = _concerns(facts)
    words = f"{summary.scored:,} forms have new predictions"
    if facts.live is not None:
        words += f" by {facts.live.model.version}, {_standing(facts)}"
    return Verdict(LOOK if concerns else GOOD, f"{words}.", concerns)


def changes(facts: Facts) -> list[Change]:
    """What differs from the last run that published: input, model, how good it is. Empty without such a run."""
    if facts.before is None:
        return []
    now, before = facts.summary, facts.before
    rows = [
        _counted("Lines read", before.counts.get("read"), now.counts.get("read")),
        _counted("Lines rejected", before.counts.get("rejected"), now.counts.get("rejected")),
        _counted("Forms", _forms(before), _forms(now)),
    ]
    mine, theirs = facts.live, facts.live_before
    if mine is not None and theirs is not None:
        same = mine.model.version == theirs.model.version
        rows.append(
            Change("Live model", theirs.model.version, mine.model.version, "the same" if same else "replaced")
        )
        if not same:  # how good a model is was measured once: when it was trained
            rows += [
                _measured("MAE on held-out forms", theirs.model.metrics.get("mae"), mine.model.metrics.get("mae")),
                _measured("R2 on held-out forms", theirs.model.metrics.get("r2"), mine.model.metrics.get("r2")),
                _measured("Share of intervals that hold", _coverage(theirs), _coverage(mine), "{:.1%}"),
                _measured("Explained of the explainable (MAE)", _explained(theirs), _explained(mine), "{:.1%}"),
            ]
    rows.append(_measured("Seconds", before.seconds, now.seconds, "{:.0f}"))
    return [row for row in rows if row is not None]


def _standing(facts: Facts) -> str:
    """What became of the champion in this run."""
    live, challenger = facts.live, facts.challenger
    if challenger is None or live is None:
        return "the champion; no model was trained"
    if live.model.version == challenger.model.version:
        return "the new champion"
    return f"the champion that stays; {challenger.model.version} did not take its place"


def _concerns(facts: Facts) -> list[str]:
    counts, said = facts.summary.counts, []
    read, rejected = counts.get("read", 0), counts.get("rejected", 0)
    if read and rejected / read > MANY_REJECTED:
        said.append(f"{rejected / read:.1%} of the lines were rejected.")
    if facts.lost:
        said.append(facts.lost)
    if facts.drift is not None and facts.drift.moved:
        several = "1 fact" if len(facts.drift.moved) == 1 else f"{len(facts.drift.moved)} facts"
        said.append(f"{several} of the input moved since {facts.drift.since}.")
    if facts.trained_at is not None:
        # A champion may be of any age as long as challengers are trained that could take its place.
        ended = max((entry.finished_at for entry in facts.entries), default=facts.made_at)
        days = (ended - facts.trained_at).days
        if days > OLD_DAYS:
            said.append(f"No model was trained for {days} days.")
    if facts.live is not None and facts.live.evaluation is not None:
        said += _of_evaluation(facts.live.evaluation)
    return said + ([] if not facts.notes else ["Parts of this report are missing: see the notes at its end."])


def _of_evaluation(evaluation: Evaluation) -> list[str]:
    said, coverage, parity = [], evaluation.coverage, evaluation.parity
    # Where there were too few forms to measure by, intervals hold everything, and are meant to.
    if coverage is not None and any(each.width < _EVERYTHING for each in coverage.by_views):
        said += _of_coverage(coverage)
    if parity is not None and parity.largest > parity.tolerance:
        said.append(f"The portable model differs from its library by {parity.largest:.1g}.")
    return said


def _of_coverage(coverage: Coverage) -> list[str]:
    said, forms = [], sum(each.forms for each in coverage.by_views)
    if _is_off(coverage.overall, coverage.nominal, forms, COVERAGE_OFF):
        said.append(f"Intervals hold {coverage.overall:.1%} of the rates, where {coverage.nominal:.0%} are promised.")
    buckets = [
        each.label for each in coverage.by_views if _is_off(each.coverage, coverage.nominal, each.forms, BUCKET_OFF)
    ]
    if buckets:
        said.append(f"Intervals are off by over 3 points for forms with {', '.join(buckets)} views.")
    return said


def _is_off(found: float, nominal: float, forms: int, worth_a_word: float) -> bool:
    """By more than chance: three deviations of a share of so many forms, and of the half as many that set widths."""
    chance = 3 * math.sqrt(nominal * (1 - nominal) * 3 / max(forms, 1))
    return abs(found - nominal) > max(worth_a_word, chance)


def _counted(what: str, before: int | None, now: int | None) -> Change | None:
    if before is None or now is None:
        return None
    return Change(what, f"{before:,}", f"{now:,}", f"{now - before:+,}" if now != before else "the same")


def _measured(what: str, before: float | None, now: float | None, shape: str = "{:.5f}") -> Change | None:
    if before is None or now is None:
        return None
    texts = shape.format(before), shape.format(now)
    signed = shape.replace("{:", "{:+")
    points = signed.format(now - before).replace("%", " points")
    return Change(what, *texts, points if texts[0] != texts[1] else "the same")


def _forms(summary: Summary) -> int | None:
    return summary.counts.get("forms")


def _coverage(judged: Judged) -> float | None:
    found = judged.evaluation
    return found.coverage.overall if found is not None and found.coverage is not None else None


def _explained(judged: Judged) -> float | None:
    return judged.evaluation.noise.explained.get("mae") if judged.evaluation is not None else None
