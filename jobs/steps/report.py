"""report: the run as one HTML page, for people; no JVM is started."""

from __future__ import annotations

from jinja2 import TemplateError

from jobs.edge.context import StepContext, StepResult
from jobs.edge.reports import Reports
from jobs.edge.summary import recent_runs
from jobs.errors import FormcastError
from jobs.report.facts import gather, newest_run
from jobs.report.page import render

SHOWN_RUNS = 10


def report(context: StepContext) -> StepResult:
    """Reads what the steps before have left; writes reports/<run>.html and, for the newest run, reports/latest.html.

    The last runs are left as JSON where the API looks for them. What is missing is noted in the page and in the
    message. Raises FormcastError where no page can be written.
    """
    facts = gather(context.tables, context.run_id)
    try:
        page = render(facts)
        newest = newest_run(context.tables) == context.run_id
        path = Reports(context.tables).write(context.run_id, page, newest=newest)
        context.serving.write_runs(recent_runs(context.tables, SHOWN_RUNS))
    except (OSError, TemplateError) as error:
        raise FormcastError(
            f"Only the report is missing ({error}); the predictions are live. When that is mended, "
            f"`formcast report {context.run_id}` writes it."
        ) from error

    missing = f" Parts are missing: {' '.join(facts.notes)}" if facts.notes else ""
    return StepResult(message=f"The report is {path}.{missing}", counts={"report_bytes": len(page.encode())})
