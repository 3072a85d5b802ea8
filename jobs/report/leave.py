"""What a run leaves for people: its page, and the last runs where the API looks for them."""

from __future__ import annotations

from jinja2 import TemplateError

from jobs.edge.context import StepContext
from jobs.edge.reports import Reports
from jobs.edge.summary import recent_runs
from jobs.errors import FormcastError
from jobs.report.facts import gather, newest_run
from jobs.report.page import render

SHOWN_RUNS = 10


def leave_report(context: StepContext) -> tuple[str, int, list[str]]:
    """Write reports/<run>.html and, for the newest run, reports/latest.html: where, how many bytes, what is missing.

    Raises FormcastError where no page can be written.
    """
    try:
        facts = gather(context.tables, context.run_id)
        page = render(facts)
        newest = context.settings.publish and newest_run(context.tables) == context.run_id
        place = Reports(context.tables).write(context.run_id, page, newest=newest)
        context.serving.write_runs(recent_runs(context.tables, SHOWN_RUNS))
    except (OSError, TemplateError) as error:
        raise FormcastError(f"The report of {context.run_id} cannot be written: {error}") from error
    return place, len(page.encode()), facts.notes
