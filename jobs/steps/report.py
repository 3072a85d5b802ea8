"""report: the run as one HTML page, for people; no JVM is started."""

from __future__ import annotations

from jobs.edge.context import StepContext, StepResult
from jobs.errors import FormcastError
from jobs.report.leave import leave_report


def report(context: StepContext) -> StepResult:
    """Reads what the steps before have left; writes reports/<run>.html and, for the newest run, reports/latest.html.

    The last runs are left as JSON where the API looks for them. What is missing is noted in the page and in the
    message. Raises FormcastError where no page can be written.
    """
    try:
        place, size, notes = leave_report(context)
    except FormcastError as error:
        raise FormcastError(
            f"Only the report is missing, the predictions are live. {error} When that is mended, "
            f"`formcast report {context.run_id}` writes it."
        ) from error
    missing = f" Parts are missing: {' '.join(notes)}" if notes else ""
    return StepResult(message=f"The report is {place}.{missing}", counts={"report_bytes": size})
