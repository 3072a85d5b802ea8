"""`formcast sample`: synthetic forms to try everything with."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def sample(
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write; compressed when it ends in .gz.")],
    rows: Annotated[int, typer.Option("--rows", help="Lines to write, the header not counted.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed and rows give the same data.")] = 1,
    layout: Annotated[Literal["packed", "wide"], typer.Option("--layout", help="How a line is laid out.")] = "packed",
    broken: Annotated[float, typer.Option("--broken", help="Share of the lines that are broken, 0 to 0.5.")] = 0.0,
    duplicates: Annotated[
        float, typer.Option("--duplicates", help="Share of the lines that repeat an earlier form, 0 to 0.5.")
    ] = 0.0,
) -> None:
    """Write synthetic forms, drawn from published statistics of a real data set.

    No line is a real form. Distributions and correlations of the features follow the published figures; how the
    features move the completion rate was invented, so that trees beat a straight line by 4 to 5 % of the error, more
    than is reported of the real forms. A model's figures on a sample say nothing about real forms.
    """
    from jobs.sample.write import plan_sample, write_sample

    plan = plan_sample(rows, seed, broken, duplicates)
    write_sample(plan, layout, out)
    typer.echo(
        f"Wrote {plan.rows:,} synthetic lines to {out}: {plan.forms:,} forms, "
        f"{plan.duplicates:,} duplicates, {plan.broken:,} broken."
    )
