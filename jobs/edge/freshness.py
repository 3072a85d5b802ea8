"""What is live never gets older by accident: data is taken only if it is no older than that of the live generation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from jobs.edge.context import StepContext
from jobs.errors import ContractError
from speed.stores.records import Manifest

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
    """Raises ContractError if a generation is older than the live one: in its data, its forms, or its scores."""
    live = None if context.settings.allow_older else context.serving.live()
    if live is None or live.generation == new.generation:
        return
    check_forms_age(context, new.forms_version)
    for what, ours, theirs in (
        ("knows everything up to", new.data_until, live.data_until),
        ("was scored at", new.scored_at, live.scored_at),
    ):
        if ours < theirs - _ROUNDING:
            raise ContractError(
                f"Generation {new.generation} {what} {_minute(ours)}, and {live.generation}, which is live, "
                f"{_minute(theirs)}: it would make readers go back. {_REMEDY} To go back to an earlier run, use "
                "`formcast rollback`."
            )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
