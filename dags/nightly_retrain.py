"""Every night: ingest the newest dump, retrain, promote what is better, score every form, publish, report.

The run claims the lake first, and waits without a slot while another run has it. Each task is one step of Formcast:
a retry goes on where it stopped, and a task that is **cleared** is done again, and so is what follows it. The tables
are replaced whole, so readers see the last good generation until `publish` swaps the next one in.

**When it fails** the task's last log line says in one sentence what is wrong and what to do. Exit codes 2, 3 and 4
(called wrongly, data that breaks the contract, something missing) are not retried. After the last try a line goes to
`logs/failures.jsonl` and to the command in `FORMCAST_ON_FAILURE`.

**By hand**: trigger with parameters; what is left empty is as the worker's `FORMCAST_*` environment says.
A **backfill** takes one date at a time. Give it an input with `{ds}` in it, or each date reads the same, and set
`publish` to false, since a dump that is older than what is live is refused: it then ingests, trains and judges beside
the tables.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG
from policy import DEFAULT_ARGS, INPUT_PARAMS, LAKE_PARAMS, PREDICTIONS, SEARCH_PARAMS, START
from spark_engine import on_lake, spark_task

with DAG(
    "nightly_retrain",
    doc_md=__doc__,
    schedule="0 2 * * *",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULT_ARGS,
    params=INPUT_PARAMS | SEARCH_PARAMS | LAKE_PARAMS,
    tags=["formcast", "batch"],
):
    on_lake(
        spark_task("prepare", minutes=60, doc_md="Ingest the input into `forms`; quarantine broken lines."),
        spark_task("monitor", minutes=20, doc_md="Note the facts of the input; stop on a sudden loss of rows."),
        spark_task("train", minutes=120, doc_md="Fit and judge every candidate on the same held-out forms."),
        spark_task("promote", minutes=20, doc_md="Make the challenger champion only where it is better."),
        spark_task("score", minutes=60, doc_md="Replace `predictions`: one row a form, by the champion."),
        spark_task("publish", minutes=60, doc_md="Build, verify and swap in the score store.", outlets=[PREDICTIONS]),
        spark_task("report", minutes=10, doc_md="Write the run's report, one HTML page, to `reports/` of the lake."),
    )
