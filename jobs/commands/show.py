"""Look at one form, and at the lines that were refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.commands.options import Lake, settings_with
from jobs.edge.files import scratch
from jobs.errors import MissingError
from jobs.settings import Settings
from speed.errors import StoreMissingError
from speed.merge import is_live
from speed.sources import generations_below
from speed.stores.lmdb import LmdbStore
from speed.stores.realtime import streamed_entry
from speed.stores.records import Entry, Manifest, Score


def show(
    form_id: Annotated[str, typer.Argument(help="The form.")],
    lake: Lake = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Show a form's score, published or streamed since: the rate, what made it, and when."""
    score, made, entry = _find(settings_with(lake=lake), form_id)
    origin, by = ("batch", made.model_version) if entry is None else ("stream", entry.model_version)
    scored_at = made.scored_at if entry is None else entry.scored_at
    if json:
        facts = {"origin": origin, "generation": made.generation, "model_version": by, "scored_at": scored_at}
        typer.echo(msgspec.json.encode(msgspec.structs.asdict(score) | facts))
        return
    seen = f"{score.completion_rate:.4f} over {score.views:,} views" if score.views else "no views yet"
    typer.echo(f"form        {score.form_id}")
    typer.echo(f"predicted   {score.predicted_rate:.4f}")
    if score.lower is not None:
        typer.echo(f"interval    {score.lower:.4f} to {score.upper:.4f}")
    typer.echo(f"observed    {seen}")
    typer.echo(f"model       {by}")
    typer.echo(f"generation  {made.generation}" + (", streamed since" if entry else ""))
    hours = (datetime.now(UTC) - scored_at).total_seconds() / 3600
    typer.echo(f"scored      {scored_at:%Y-%m-%d %H:%M} UTC ({hours:.1f} h ago)")


def _find(settings: Settings, form_id: str) -> tuple[Score, Manifest, Entry | None]:
    """The form's score, the generation, and the streamed entry where the score is of that."""
    try:
        generations = generations_below(f"{settings.lake}/serving", scratch())
        made = generations.live_manifest()
        with LmdbStore(generations.folder(made.generation), made) as store:
            score = store.get(form_id)
        entry = _streamed(settings, form_id)
    except StoreMissingError as error:
        raise MissingError(f"{error} Run `make run` first, or name another lake with --lake.") from error
    if entry is not None and is_live(entry, score, made.data_until):
        return entry.score, made, entry
    if score is None:
        raise MissingError(
            f"Form {form_id!r} has no score in generation {made.generation}: its id is wrong, its line was refused "
            "(`formcast rejects`), or it is newer than the last run."
        )
    return score, made, None


def _streamed(settings: Settings, form_id: str) -> Entry | None:
    if not settings.dynamodb_table:
        return streamed_entry(Path(settings.lake) / "serving", form_id)
    from speed.stores.dynamodb_realtime import DynamoRealtime

    return DynamoRealtime(settings.dynamodb_table).get(form_id)


def rejects(
    lake: Lake = None,
    reason: Annotated[str, typer.Option(help="Only lines with this reason code.")] = "",
    run_id: Annotated[str, typer.Option("--run", help="Only lines of this run.")] = "",
    limit: Annotated[int, typer.Option(help="How many lines to show.")] = 20,
) -> None:
    """List refused lines: how many for each reason, then the newest lines with all their reasons."""
    from jobs.edge.tables import Tables
    from speed.reasons import REASONS

    tables = Tables(settings_with(lake=lake).lake)
    chosen = [f"array_has(reasons, {_quoted(reason)})"] if reason else []
    chosen += [f"run_id = {_quoted(run_id)}"] if run_id else []
    where = f"where {' and '.join(chosen)}" if chosen else ""
    counts = tables.query(
        f"select code, count(*) as lines from (select unnest(reasons) as code from rejected_forms {where}) "
        "group by code order by lines desc, code",
        "rejected_forms",
    )
    newest = tables.query(
        f"select * from rejected_forms {where} order by rejected_at desc, source_file, line limit {limit}",
        "rejected_forms",
    )
    console = Console(soft_wrap=True, highlight=False)
    summary = Table("reason", "lines", "meaning", box=None)
    for row in counts:
        summary.add_row(row["code"], f"{row['lines']:,}", REASONS.get(row["code"], ""))
    console.print(summary if counts else "No line was refused.")
    for row in newest:
        text = row["line"] if len(row["line"]) <= 100 else row["line"][:97] + "..."
        done = f", replayed by {row['replayed_by']}" if row["replayed_by"] else ""
        origin = f"({row['source_file']}, run {row['run_id']}{done})"
        console.print(f"\n{escape(text)}\n  {', '.join(row['reasons'])} {escape(origin)}")
    if len(newest) == limit:
        console.print(f"\nThe newest {limit:,} are shown: --limit shows more, --reason and --run choose.")


def _quoted(text: str) -> str:
    """Text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
