"""Which charts a report has, and what they show. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jobs.model.gate import BASELINE
from jobs.report.charts import Mark, Rule, bars, curve, dots
from jobs.report.verdict import BUCKET_OFF

if TYPE_CHECKING:
    from jobs.edge.summary import StepLine
    from jobs.model.evaluation import Evaluation

IMPORTANT = 12  # features shown, of 47


def draw(steps: list[StepLine], evaluation: Evaluation | None, contest: Evaluation | None) -> dict[str, Markup]:
    """The charts there are facts for, by name.

    evaluation: of the live model; contest: of the best one that the run trained.
    """
    marks = [Mark(step.step, step.seconds) for step in steps]
    drawn = {"time": bars(marks, title="Time per step", show=lambda seconds: f"{seconds:.1f} s")}
    if contest is not None and contest.comparisons:
        drawn["comparisons"] = _comparisons(contest)
    if evaluation is None:
        return drawn
    by_views = [each for each in evaluation.slices if each.by == "views"]
    if by_views:
        marks = [Mark(each.label, each.mae) for each in by_views]
        drawn["views"] = bars(marks, title="MAE by views", show=lambda value: f"{value:.3f}")
    if evaluation.reliability:
        points = [(each.predicted, each.actual, float(each.forms)) for each in evaluation.reliability]
        drawn["reliability"] = curve(
            points,
            title="Reliability",
            across="predicted rate",
            up="observed rate",
            show=lambda value: f"{value:.2f}",
        )
    if evaluation.importance:
        ranked = sorted(evaluation.importance, key=lambda each: -each.increase)[:IMPORTANT]
        marks = [Mark(each.feature, each.increase, (each.lower, each.upper)) for each in ranked]
        drawn["importance"] = bars(marks, title="Importance of features", show=lambda value: f"{value:.4f}")
    if evaluation.coverage is not None and evaluation.coverage.by_views:
        drawn["coverage"] = _coverage(evaluation)
    if BASELINE in evaluation.families:
        drawn["noise"] = _noise(evaluation)
    return drawn


def _comparisons(contest: Evaluation) -> Markup:
    marks = [
        Mark(
            f"{each.name} vs {each.other}",
            each.difference,
            (each.lower, each.upper),
            _side(each.lower, each.upper),
        )
        for each in contest.comparisons
    ]
    rule = Rule(0.0, "no difference")
    return dots(marks, title="Differences of MAE", show=lambda value: f"{value:+.4f}", rule=rule)


def _coverage(evaluation: Evaluation) -> Markup:
    nominal = evaluation.coverage.nominal
    marks = [
        Mark(each.label, each.coverage, kind="bad" if abs(each.coverage - nominal) > BUCKET_OFF else "good")
        for each in evaluation.coverage.by_views
    ]
    return dots(
        marks,
        title="Coverage of intervals by views",
        show=lambda value: f"{value:.0%}",
        rule=Rule(nominal, f"promised {nominal:.0%}"),
        band=(nominal - BUCKET_OFF, nominal + BUCKET_OFF),
    )


def _noise(evaluation: Evaluation) -> Markup:
    """Where each family's MAE lies between the baseline's and the floor that noise sets."""
    marks = [
        Mark(name, scores["mae"], kind="good" if name == evaluation.best else "")
        for name, scores in sorted(evaluation.families.items(), key=lambda item: item[1]["mae"])
    ]
    rule = Rule(evaluation.noise.mae, f"noise floor {evaluation.noise.mae:.3f}")
    return dots(marks, title="MAE and the noise floor", show=lambda value: f"{value:.3f}", rule=rule)


def _side(lower: float, upper: float) -> str:
    if upper < 0:
        return "good"
    return "bad" if lower > 0 else ""
