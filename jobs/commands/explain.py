"""`formcast explain`: what the champion makes of one form, feature by feature. No JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jobs.commands.options import Lake, settings_with
from jobs.errors import FormcastError, MissingError
from speed.contract import FEATURES

if TYPE_CHECKING:
    from jobs.edge.tables import Tables

BAR = 18  # characters on either side of the axis


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A form's rate taken apart: base + contributions + calibration = rate. interval: for a form of these views."""

    form_id: str
    model_version: str
    method: str
    rate: float
    lower: float | None
    upper: float | None
    views: int
    completion_rate: float | None
    base: float
    contributions: dict[str, float]
    features: dict[str, float]
    raw: float
    calibration: float


def explain(
    form_id: Annotated[str, typer.Argument(help="The form.")],
    lake: Lake = None,
    top: Annotated[int, typer.Option(min=1, help="How many features to show.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with all 47 features.")] = False,
) -> None:
    """Explain the champion's prediction of a form: what each feature adds to it or takes away."""
    from jobs.edge.tables import Tables

    explained = _explained(Tables(settings_with(lake=lake).lake), form_id)
    if json:
        typer.echo(msgspec.json.encode(explained))
    else:
        _print(explained, top)


def _explained(tables: Tables, form_id: str) -> Explained:
    """Raises MissingError for an unknown form, no champion, or a champion that cannot be explained."""
    from jobs.edge.artifacts import EXPLANATION, read_portable
    from jobs.edge.models import Models
    from speed.explain import Explainer, ExplainError
    from speed.scorer import Scorer

    form = _form(tables, form_id)
    models = Models(tables)
    champion = models.champion()
    folder = models.verified_folder(champion)
    if not (folder / EXPLANATION).is_file():
        raise MissingError(
            f"The champion {champion.version} is of the family {champion.family}, which cannot be explained feature "
            "by feature: `formcast show` has the form's score, and `formcast report` what matters on the whole."
        )
    values = [form[name] for name in FEATURES]
    try:
        explainer = Explainer(folder / EXPLANATION)
    except ExplainError as error:
        raise FormcastError(str(error)) from error
    found = explainer.explain(values)
    rate, lower, upper = Scorer(read_portable(folder)).score_one(values, form["views"] or None)
    return Explained(
        form_id=form_id,
        model_version=champion.version,
        method=explainer.method,
        rate=rate,
        lower=lower,
        upper=upper,
        views=form["views"],
        completion_rate=form["completion_rate"],
        base=found.base,
        contributions=dict(zip(FEATURES, found.contributions.tolist(), strict=True)),
        features=dict(zip(FEATURES, values, strict=True)),
        raw=found.prediction,
        calibration=rate - found.prediction,
    )


def _form(tables: Tables, form_id: str) -> dict[str, Any]:
    """The form's row. Statistics and pages of the files are looked at first, so that few features are read."""
    tables.delta("forms")  # an error where there is none
    literal = form_id.replace("'", "''")
    rows = tables.query(f"select * from forms where form_id = '{literal}'", "forms")
    if not rows:
        raise MissingError(
            f"There is no form {form_id!r} in {tables.path('forms')}: its id is wrong, or its line was refused "
            "(`formcast rejects`)."
        )
    return rows[0]


def _print(explained: Explained, top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    rated = explained.completion_rate is not None
    typer.echo(f"form        {explained.form_id}")
    typer.echo(f"predicted   {explained.rate:.4f}")
    if explained.lower is not None:
        typer.echo(f"interval    {explained.lower:.4f} to {explained.upper:.4f}, for {explained.views:,} views")
    seen = f"{explained.completion_rate:.4f} over {explained.views:,} views" if rated else "no views yet"
    typer.echo(f"observed    {seen}")
    typer.echo(f"model       {explained.model_version}")
    typer.echo(f"method      {explained.method}\n")

    ranked = sorted(explained.contributions.items(), key=lambda item: -abs(item[1]))
    largest = max(abs(ranked[0][1]), 1e-12)
    table = Table("", "value", "adds", "", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:3]:
        column.justify = "right"
    table.add_row("base: mean prediction", "", f"{explained.base:.4f}")
    for name, part in ranked[:top]:
        table.add_row(name, f"{explained.features[name]:g}", f"{part:+.4f}", _bar(part / largest))
    if rest := ranked[top:]:
        sum_of_rest = sum(part for _, part in rest)
        table.add_row(f"{len(rest)} more features", "", f"{sum_of_rest:+.4f}", _bar(sum_of_rest / largest))
    table.add_row("calibration", "", f"{explained.calibration:+.4f}")
    table.add_row("sum: predicted", "", f"{explained.rate:.4f}")
    Console(highlight=False).print(table)


def _bar(share: float) -> str:
    """A bar to the left of the axis for less, to the right for more; over the full width it ends there."""
    filled = "█" * min(BAR, round(abs(share) * BAR))
    if share < 0:
        return f"[red]{filled.rjust(BAR)}[/red]│"
    return f"{' ' * BAR}│[green]{filled}[/green]"
