"""Commands that only read: they start no JVM and answer at once."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from jobs.commands.options import Lake, settings_with
from jobs.edge.ledger import Ledger
from jobs.edge.models import Models
from jobs.edge.snapshot import Serving
from jobs.edge.summary import BASELINE, Summary, reason_words, recent_runs, summarize
from jobs.edge.tables import Tables
from jobs.settings import Settings

_LEAST_WIDTH, _PIPED_WIDTH = 120, 1_000
_STYLES = {"succeeded": "green", "champion": "green", "failed": "red", "refused": "yellow"}


def runs(lake: Lake = None, last: Annotated[int, typer.Option(help="How many of the newest runs.")] = 20) -> None:
    """List the runs, newest last: when, what ended them, how much they read and published."""
    tables = Tables(settings_with(lake=lake).lake)
    table = _table("run", "started (UTC)", "took", "status", "read", "rejected", "forms", "published")
    for line in recent_runs(tables, last):
        counts = (line.read, line.rejected, line.forms, line.published)
        shown = ["" if count is None else f"{count:,}" for count in counts]
        took, status = f"{line.seconds:.0f} s", _styled(line.status)
        table.add_row(line.run_id, f"{line.started_at:%Y-%m-%d %H:%M}", took, status, *shown)
    _print(table if table.row_count else f"No run yet in {tables.lake}: `make run` makes the first.")
    if intent := Serving(tables).unfinished_rollback():
        back = f"formcast rollback --to {intent.run_id}"
        _print(f"[red]A rollback to {intent.run_id} was cut off: run `{back}` again.[/red]")


def run(
    run_id: Annotated[str, typer.Argument(help="The run; without one, the newest.")] = "",
    lake: Lake = None,
    json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Show what a run did: input, candidates, champion, predictions, time per step."""
    settings = settings_with(lake=lake)
    tables = Tables(settings.lake)
    if not run_id:
        entries = Ledger(tables).entries()
        run_id = entries[-1].run_id if entries else ""
    if json:
        typer.echo(_json(summarize(tables, run_id)))
    else:
        print_summary(settings, run_id)


def print_summary(settings: Settings, run_id: str, path: Path | None = None) -> None:
    """Print a run's summary; with `path`, write the same facts there as JSON."""
    summary = summarize(Tables(settings.lake), run_id)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_json(summary) + "\n", encoding="utf-8")
    _print(f"\n[bold]Run {summary.run_id}[/bold]  {_styled(summary.status)}  in {summary.seconds:.0f} s")
    _print(_input_lines(summary))
    if summary.candidates:
        _print(_candidate_table(summary))
    if summary.candidates_note:
        _print(f"             {summary.candidates_note}")
    if summary.champion:
        _print(f"Champion     {summary.champion}\n             {escape(summary.champion_reason)}".rstrip())
    if summary.warning:
        _print(f"[yellow]Warning      {escape(summary.warning)}[/yellow]")
    if summary.scored:
        _print(f"Predictions  {summary.scored:,} in {escape(summary.predictions)}, live as {summary.generation}")
    _print("Time         " + " · ".join(f"{line.step} {line.seconds:.1f} s" for line in summary.steps))
    for failed in (line for line in summary.steps if line.status == "failed"):
        _print(f"[red]{failed.step} failed: {escape(failed.message)}[/red]")
    _print("Try next")
    for command, why in _next_commands(summary, settings):
        _print(f"  [cyan]{escape(command)}[/cyan]  {why}")


def models(lake: Lake = None) -> None:
    """List the trained models, newest last: how good each is, and what became of it and why."""
    table = _table("version", "holdout MAE", "R2", "state")
    table.add_column("reason")
    for model in Models(Tables(settings_with(lake=lake).lake)).all():
        mae, r2 = f"{model.metrics['mae']:.5f}", f"{model.metrics['r2']:.4f}"
        table.add_row(model.version, mae, r2, _styled(model.state), model.reason)
    _print(table if table.row_count else "No model yet: `make run` trains the first.")


def _input_lines(summary: Summary) -> str:
    counts = summary.counts
    if "read" not in counts:
        return "Input        nothing was ingested"
    lines = [
        f"Input        {counts['read']:,} lines read: {counts['accepted']:,} accepted, "
        f"{counts['rejected']:,} rejected, {counts['duplicates']:,} duplicates; {counts.get('forms', 0):,} forms"
    ]
    lines += [
        f"             rejected {count:,}: {reason_words(code)}" for code, count in list(summary.reasons.items())[:3]
    ]
    return "\n".join(lines)


def _candidate_table(summary: Summary) -> Table:
    table = Table("candidate", "holdout MAE", "against baseline", "R2", "", box=None, padding=(0, 2, 0, 0))
    for line in summary.candidates:
        direction = "better" if line.gain >= 0 else "worse"
        gain = "" if line.family == BASELINE else f"{abs(line.gain):.1%} {direction}"
        table.add_row(line.family, f"{line.mae:.5f}", gain, f"{line.r2:.4f}", _styled(line.state))
    return table


def _next_commands(summary: Summary, settings: Settings) -> list[tuple[str, str]]:
    lake = "" if settings.lake == "lake" else f" --lake {quote(settings.lake)}"
    formcast = ".venv/bin/formcast"
    look = f"{formcast} rejects{lake}" if summary.counts.get("rejected") else f"{formcast} models{lake}"
    example = Tables(settings.lake).any_id("predictions") or "FORM_ID"
    return [
        (f"{formcast} show {quote(example)}{lake}", "the published score of a form"),
        (look, "why lines were refused" if "rejects" in look else "every model, and what became of it"),
        (f"{formcast} runs{lake}", "this run beside the others; `make airflow` for the same DAGs in Airflow's UI"),
    ]


def _json(summary: Summary) -> str:
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode()


def _styled(word: str) -> str:
    style = _STYLES.get(word.partition(" ")[0])
    return f"[{style}]{word}[/{style}]" if style else word


def _table(*columns: str) -> Table:
    """Its cells, names among them that are to be pasted, are never cut or folded."""
    return Table(*(Column(name, no_wrap=True) for name in columns), box=None)


def _print(what: object) -> None:
    # Paths and ids must stay whole where they are piped or pasted: lines are not folded.
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, _LEAST_WIDTH) if console.is_terminal else _PIPED_WIDTH
    console.print(what)
