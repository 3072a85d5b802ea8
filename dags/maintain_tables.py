"""Keep the lake small and quick: compaction, vacuum, retention. Weekly, and never beside a writer (one pool)."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG
from policy import DEFAULT_ARGS, LAKE_PARAMS, START
from spark_engine import on_lake, spark_task

with DAG(
    "maintain_tables",
    doc_md=__doc__,
    schedule="0 6 * * 0",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=DEFAULT_ARGS,
    params=LAKE_PARAMS,
    tags=["formcast", "maintenance"],
):
    on_lake(
        spark_task(
            "maintain", command=["maintain"], minutes=120, doc_md="Compact files; remove what is past keeping."
        )
    )
