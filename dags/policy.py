"""What all of Formcast's DAGs share: owner, retries, parameters, the asset, and what happens on a failure."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param

POOL = "lake_writer"
START = datetime(2026, 1, 1, tzinfo=UTC)
PREDICTIONS = Asset(name="formcast_predictions", uri="formcast://lake/predictions", group="formcast")
"""Updated by `publish`: other teams schedule their DAGs on it."""

HOME = Path(os.environ.get("FORMCAST_HOME") or Path(__file__).resolve().parent.parent)
HOOK_SECONDS = 30


def tell_failure(context: dict[str, Any]) -> None:
    """After a task's last try: a JSON line in <logs>/failures.jsonl, and the command of FORMCAST_ON_FAILURE.

    The command (words, no shell) gets the line on standard input. What it does cannot fail the task twice.
    """
    task = context["task_instance"]
    line = json.dumps(
        {
            "at": datetime.now(UTC).isoformat(),
            "dag": task.dag_id,
            "task": task.task_id,
            "run_id": task.run_id,
            "try": task.try_number,
            "error": str(context.get("exception") or ""),
        }
    )
    try:
        logs = HOME / (os.environ.get("FORMCAST_LOGS") or "logs")
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / "failures.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if command := os.environ.get("FORMCAST_ON_FAILURE"):
            subprocess.run(shlex.split(command), input=line, text=True, timeout=HOOK_SECONDS, check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        task.log.warning("The failure hook did not work: %s", error)


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "formcast",
    "pool": POOL,
    # Where a person watches, `make run` sets none: a failure is told at once.
    "retries": int(os.environ.get("FORMCAST_RETRIES") or 2),
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
    "depends_on_past": False,
    "on_failure_callback": tell_failure,
}

LAKE_PARAMS: dict[str, Param] = {
    "engine": Param(
        None,
        type=["null", "string"],
        enum=[None, "local", "emr_serverless", "emr"],
        title="Engine",
        description="Where the steps run. Empty: the worker's FORMCAST_ENGINE, else local.",
    ),
    "lake": Param(
        None,
        type=["null", "string"],
        title="Lake",
        description="Folder or s3:// prefix of the tables. Empty: the worker's FORMCAST_LAKE, else `lake`.",
    ),
    "run_id": Param(
        None,
        type=["null", "string"],
        maxLength=120,
        title="Run id",
        description="The run's name in the ledger. Empty: Airflow's own. A step that it has done is not redone.",
    ),
}

INPUT_PARAMS: dict[str, Param] = {
    "input": Param(
        None,
        type=["null", "string"],
        title="Input",
        description=(
            "File, folder or glob to ingest; `{ds}` in it becomes the run's date, so that a backfill reads each "
            "day's own dump. Empty: the worker's FORMCAST_INPUT."
        ),
    ),
    "columns": Param(
        None,
        type=["null", "string"],
        title="Columns",
        description="Order of the columns, such as `form_id,views,submissions,features`. Empty: the documented one.",
    ),
    "layout": Param(
        None,
        type=["null", "string"],
        enum=[None, "auto", "packed", "wide"],
        title="Layout",
        description="How a line is laid out. Empty: the worker's FORMCAST_LAYOUT, else auto.",
    ),
    "mode": Param(
        None,
        type=["null", "string"],
        enum=[None, "full", "increment"],
        title="Mode",
        description="full: the input is all forms there are; increment: new and changed ones. Empty: as configured.",
    ),
    "data_until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Data until",
        description=(
            "The input knows everything up to this time: a form streamed later stays in front of its score. "
            "Empty: when the oldest file of the input was written."
        ),
    ),
    "allow_older": Param(
        None,
        type=["null", "boolean"],
        title="Allow older data",
        description="Let a dump that is older than what is live take its place. Empty: no.",
    ),
    "max_reject_fraction": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Largest share of rejected lines",
        description="Over this share of bad lines the run stops before anything is replaced. Empty: 0.05.",
    ),
    "max_row_drop": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Largest loss of forms",
        description="If more than this share of the live forms are gone, nothing is replaced. Empty: 0.1.",
    ),
    "warn_row_drop": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Loss of forms worth a warning",
        description="From this share of the live forms on, the summary and the report warn. Empty: 0.02.",
    ),
    "expected_rows": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Expected lines",
        description="Lines of data that the input must have; with another number nothing is replaced. Empty: any.",
    ),
}

SEARCH_PARAMS: dict[str, Param] = {
    "publish": Param(
        None,
        type=["null", "boolean"],
        title="Publish",
        description=(
            "No: a rehearsal, as for a backfill. The run ingests, trains and judges beside the tables; nothing goes "
            "live. Empty: yes."
        ),
    ),
    "search_budget": Param(
        None,
        type=["null", "string"],
        pattern=r"^\d+[smh]?$",
        title="Search budget",
        description=(
            "Time for `train` to search for better parameters, such as `90s`, `10m` or `1h`; the winners are fitted "
            "after it. Empty: the worker's FORMCAST_SEARCH_BUDGET, else none: the fixed defaults."
        ),
    ),
}
