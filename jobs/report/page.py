"""The page of a report: one self-contained HTML file, from facts alone. Pure but for reading its own template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.edge.summary import reason_words
from jobs.model.losses import LOSS_NAMES
from jobs.report.figures import IMPORTANT, draw
from jobs.report.verdict import changes, verdict

if TYPE_CHECKING:
    from jobs.model.evaluation import Evaluation
    from jobs.report.facts import Facts

LINE = 160  # characters of a refused line

MEASURES = {
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "deviance": "Binomial deviance",
    "weighted_mae": "MAE, weighted by views",
    "weighted_rmse": "RMSE, weighted by views",
    "weighted_r2": "R2, weighted by views",
}


def render(facts: Facts) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "rate": _rate,
        "signed": _signed,
        "percent": _percent,
        "count": _count,
        "short": _short,
        "plain": _plain,
        "reason_words": reason_words,
    }
    evaluation = facts.live.evaluation if facts.live is not None else None
    contest = facts.challenger.evaluation if facts.challenger is not None else None
    page = environment.get_template("page.html").render(
        facts=facts,
        summary=facts.summary,
        verdict=verdict(facts),
        changes=changes(facts),
        evaluation=evaluation,
        contest=contest,
        charts=draw(facts.summary.steps, evaluation, contest),
        slices=_slices(evaluation),
        main_checksums=_main_checksums(facts),
        measures=MEASURES,
        floors=_floors(evaluation),
        objective=_objective(facts),
        top=IMPORTANT,
    )
    return page + "\n"


def _slices(evaluation: Evaluation | None) -> dict[str, list[Any]]:
    """Slices by what they were cut by, in the order of the evaluation."""
    cut: dict[str, list[Any]] = {}
    for each in evaluation.slices if evaluation is not None else []:
        cut.setdefault(each.by, []).append(each)
    return cut


def _floors(evaluation: Evaluation | None) -> dict[str, float]:
    """The floor of each measure that has one."""
    if evaluation is None:
        return {}
    return {name: getattr(evaluation.noise, name) for name in MEASURES if hasattr(evaluation.noise, name)}


def _objective(facts: Facts) -> str:
    """What the live model was calibrated for and judged by, in words."""
    papers = facts.live.manifest if facts.live is not None else None
    return f"{LOSS_NAMES[papers.objective]} of a form" if papers is not None else "error of a form"


def _main_checksums(facts: Facts) -> dict[str, str]:
    """Of the files that stand in the model's folder itself; a native format may have hundreds below."""
    papers = facts.live.manifest if facts.live is not None else None
    return {name: text for name, text in (papers.checksums if papers else {}).items() if "/" not in name}


def _rate(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.5f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}%}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _short(text: str, length: int = LINE) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(value: object) -> str:
    """A parameter or a fact as text, maps as `name value` pairs."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
