"""The settings of a step, as `FORMCAST_*` variables: Airflow's environment below the run's parameters."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

JOB_SETTINGS = (
    *("LAKE", "INPUT", "LAYOUT", "COLUMNS", "MODE", "DATA_UNTIL", "MAX_REJECT_FRACTION", "MAX_ROW_DROP", "RUN_ID"),
    *("SEED", "FAMILIES", "OBJECTIVE", "SEARCH_BUDGET", "COVERAGE", "FIT_FRACTION", "FIT_ALL_BELOW"),
    *("STALE_AFTER_DAYS", "KEEP_GENERATIONS", "RETENTION_DAYS"),
    *("DYNAMODB_TABLE", "DYNAMODB_WRITES", "DYNAMODB_READS"),
)
"""What travels to AWS, where whoever may describe a job can read it: so this is a list of what may, not of what must
not. Settings of a machine (heap, cores, folders) stay behind: there, spark_conf/ decides."""


def with_day(env: dict[str, str], context: Any) -> dict[str, str]:
    """`env` with the day of the run in place of `{ds}` in the input, so that a backfill reads each day's own dump."""
    run = context["dag_run"]
    day = (run.logical_date or run.run_after).date().isoformat()
    return env | {"FORMCAST_INPUT": env.get("FORMCAST_INPUT", "").replace("{ds}", day)}


def job_environment(settings: dict[str, str], context: Any) -> dict[str, str]:
    """What a step on AWS is told, sorted by name. Raises AirflowFailException where its data is not on S3."""
    names = [f"FORMCAST_{name}" for name in JOB_SETTINGS]
    given = {name: settings.get(name) or os.environ.get(name, "") for name in names}
    env = {name: value for name, value in sorted(with_day(given, context).items()) if value}
    for name, what in (("FORMCAST_LAKE", "The lake"), ("FORMCAST_INPUT", "The input")):
        place = env.get(name, "lake" if name == "FORMCAST_LAKE" else "")
        if place and not place.startswith("s3://"):
            raise AirflowFailException(
                f"{what} {place!r} is a path of a machine, which AWS cannot read: give an s3:// place ({name})."
            )
    return env


def required(*names: str) -> list[str]:
    """Values of settings of Airflow's environment. Raises AirflowFailException that names those that are missing."""
    values = {name: os.environ.get(name, "").strip().rstrip("/") for name in names}
    if missing := [name for name, value in values.items() if not value]:
        raise AirflowFailException(f"Airflow's environment lacks {', '.join(missing)}: set what the engine needs.")
    return list(values.values())


def split_list(text: str) -> list[str]:
    """The parts of a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]
