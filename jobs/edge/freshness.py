"""What is live never gets older by accident: data is taken only if it is no older than that of what is live."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from jobs.edge.context import StepContext
from jobs.errors import ContractError
from speed.stores.records import Manifest

REHEARSAL = "Nothing goes live: this run is a rehearsal."
_ROUNDING = timedelta(seconds=1)  # times pass through floats on their way
_REMEDY = "Run again with allow_older (ALLOW_OLDER=1) if it shall be live all the same, or give it a lake of its own."


def data_until(context: StepContext, modified: Iterable[datetime]) -> datetime:
    """Up to when a dump knows everything: as it was said, else when the oldest of its files was last written.

    It never knows more than the time that the run stands for, or than now.
    """
    settings = context.settings
    known = settings.data_until or min(modified)
    return min(known, context.started_at, settings.as_of or context.started_at)


def check_dump_age(context: StepContext, until: datetime) -> None:
    """Raises ContractError if a dump that knows everything up to `until` is older than what is live."""
    live = None if context.settings.allow_older else context.serving.live()
    if live is not None and until < live.data_until - _ROUNDING:
        raise ContractError(
            f"The input knows everything up to {_minute(until)}, and {live.generation}, which is live, up to "
            f"{_minute(live.data_until)}: older data would take its place. Nothing was written. {_REMEDY} For a "
            "backfill that only trains and judges, set publish to false (PUBLISH=0)."
        )


def check_forms_age(context: StepContext, version: int) -> None:
    """Raises ContractError if a version of `forms` is older than the one whose scores are live."""
    live = None if context.settings.allow_older else context.serving.live()
    if live is not None and version < live.forms_version:
        raise ContractError(
            f"Version {version} of forms, which this run ingested, is older than version {live.forms_version}, whose "
            f"scores are live as {live.generation}: a later run has taken its place. Start a new run. {_REMEDY}"
        )


def check_generation_age(context: StepContext, new: Manifest) -> None:
    """Raises ContractError if a generation is older than the live one: in its data, its forms, or its scores.

    Versions of tables tell what came later, not clocks: one that was moved must keep no later night from readers.
    """
    live = None if context.settings.allow_older else context.serving.live()
    if live is None or live.generation == new.generation:
        return
    check_forms_age(context, new.forms_version)
    back = ""
    if new.data_until < live.data_until - _ROUNDING:
        back = f"knows everything up to {_minute(new.data_until)}, {live.generation} up to {_minute(live.data_until)}"
    elif new.predictions_version < live.predictions_version:
        back = f"was scored before {live.generation}"
    if back:
        raise ContractError(
            f"Generation {new.generation} {back}, which is live: readers would go back. {_REMEDY} To go back to an "
            "earlier run, use `formcast rollback`."
        )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
