"""Ingest a dump and score every form with the champion there is, without retraining.

For a correction between two nights, or a partial dump (`mode` = increment). Triggered by hand or by another DAG.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG
from policy import DEFAULT_ARGS, INPUT_PARAMS, LAKE_PARAMS, PREDICTIONS, START
from spark_engine import on_lake, spark_task

with DAG(
    "score_forms",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    default_args=DEFAULT_ARGS,
    params=INPUT_PARAMS | LAKE_PARAMS,
    tags=["formcast", "batch"],
):
    on_lake(
        spark_task("prepare", minutes=60, doc_md="Ingest the input into `forms`; quarantine broken lines."),
        spark_task("monitor", minutes=20, doc_md="Note the facts of the input; stop on a sudden loss of rows."),
        spark_task("score", minutes=60, doc_md="Replace `predictions`: one row a form, by the champion."),
        spark_task("publish", minutes=60, doc_md="Build, verify and swap in the score store.", outlets=[PREDICTIONS]),
        spark_task("report", minutes=10, doc_md="Write the run's report, one HTML page, to `reports/` of the lake."),
    )
