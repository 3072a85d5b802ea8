"""The settings of a step, as `FORMCAST_*` variables: Airflow's environment below the run's parameters."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

CLAIM_TASK = "claim_lake"
PINNED = ("FORMCAST_CODE_URI", "FORMCAST_BIN")
"""What of the worker's environment names the code."""

JOB_SETTINGS = (
    *("LAKE", "INPUT", "LAYOUT", "COLUMNS", "MODE", "DATA_UNTIL", "MAX_REJECT_FRACTION", "MAX_ROW_DROP", "RUN_ID"),
    *("WARN_ROW_DROP", "EXPECTED_ROWS"),
    *("SEED", "FAMILIES", "OBJECTIVE", "SEARCH_BUDGET", "COVERAGE", "FIT_FRACTION", "FIT_ALL_BELOW"),
    *("ALLOW_OLDER", "PUBLISH", "AS_OF", "LEAST_GAIN", "REDO", "CLAIM_WAIT", "CLAIM_KEEP"),
    *("STALE_AFTER_DAYS", "KEEP_GENERATIONS", "RETENTION_DAYS", "REJECTED_DAYS"),
    *("DYNAMODB_TABLE", "DYNAMODB_WRITES", "DYNAMODB_READS"),
)
"""What travels to AWS, where whoever may describe a job can read it: so this is a list of what may, not of what must
not. Settings of a machine (heap, cores, folders) stay behind: there, spark_conf/ decides."""


def of_run(env: dict[str, str], context: Any, redo: int = 0) -> dict[str, str]:
    """`env` with what only Airflow knows of the run.

    The day of the run takes the place of `{ds}` in the input, so that a backfill reads each day's own dump; such a
    dump knows nothing later than the run's time. redo: see `redo_of`. No step waits for the lake: its run has it.
    """
    run = context["dag_run"]
    at = run.logical_date or run.run_after
    source = env.get("FORMCAST_INPUT", "")
    known = {"FORMCAST_INPUT": source.replace("{ds}", at.date().isoformat()), "FORMCAST_CLAIM_WAIT": "0"}
    if "{ds}" in source:
        known["FORMCAST_AS_OF"] = at.isoformat()
    return env | known | ({"FORMCAST_REDO": str(redo)} if redo else {})


def redo_of(task: Any, context: Any) -> int:
    """How many tries a task had behind it when it was last cleared, 0 if it never was.

    Airflow allows a cleared task as many tries as before, on top of those it has had; a retry leaves that as it is.
    """
    return max(0, getattr(context["ti"], "max_tries", 0) - task.retries)


def pinned(context: Any, name: str) -> str:
    """A setting of the worker as it was when the run claimed the lake: the code does not change within a run."""
    return context["ti"].xcom_pull(task_ids=CLAIM_TASK, key=name) or os.environ.get(name, "")


def job_environment(settings: dict[str, str], context: Any, redo: int = 0) -> dict[str, str]:
    """What a step on AWS is told, sorted by name. Raises AirflowFailException if its data is not on S3."""
    names = [f"FORMCAST_{name}" for name in JOB_SETTINGS]
    given = {name: settings.get(name) or os.environ.get(name, "") for name in names}
    env = {name: value for name, value in sorted(of_run(given, context, redo).items()) if value}
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
