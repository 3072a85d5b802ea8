"""The cluster of a run on the engine `emr`: made before its first step, ended after its last, found by its name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.links.emr import EmrLogsLink
from airflow.providers.amazon.aws.triggers.emr import EmrCreateJobFlowTrigger
from airflow.sdk.exceptions import AirflowException

from engines import job
from engines.emr_request import cluster_request
from engines.environment import job_environment
from engines.s3 import S3Files
from engines.sizing import executors_for

STARTING, WORKING = ("STARTING", "BOOTSTRAPPING"), ("RUNNING", "WAITING")
ACTIVE = STARTING + WORKING
START_MINUTES = 25
GRACE = timedelta(minutes=10)


class EmrCluster:
    """The transient cluster of one run. A retry finds the one that is there."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._hook = EmrHook(emr_conn_id=None)

    def start(self, context: Any) -> None:
        env = job_environment(self._task.settings, context)
        with job.plain_errors("The cluster cannot be started"):
            found = run_clusters(self._hook.conn, context, ACTIVE)
            self._settle(context, found[-1]["Id"] if found else self._make(context, env))

    def resume(self, context: Any) -> None:
        with job.plain_errors("The cluster cannot be followed"):
            self._settle(context, run_clusters(self._hook.conn, context)[-1]["Id"])

    def end(self, context: Any) -> None:
        """End every cluster of the run: whatever was started twice is ended too."""
        with job.plain_errors("The cluster cannot be ended: end it in the console, it costs"):
            found = [cluster["Id"] for cluster in run_clusters(self._hook.conn, context, ACTIVE)]
            if found:
                self._hook.conn.terminate_job_flows(JobFlowIds=found)
            self._task.log.info("Clusters ended: %s.", ", ".join(found) or "none was left")

    def _make(self, context: Any, env: dict[str, str]) -> str:
        files = S3Files()
        executors = executors_for(files.text_bytes(env.get("FORMCAST_INPUT", "")), job.most_executors())
        request = cluster_request(cluster_name(context), executors, files)
        return self._hook.conn.run_job_flow(**request)["JobFlowId"]

    def _settle(self, context: Any, cluster_id: str) -> None:
        """Answer where the cluster works, raise where it has ended, and wait where it still comes up."""
        cluster = self._hook.conn.describe_cluster(ClusterId=cluster_id)["Cluster"]
        state, since = cluster["Status"]["State"], cluster["Status"]["Timeline"]["CreationDateTime"]
        self._task.log.info("Cluster %s is %s.", cluster_id, state)
        self._task.tell_logs(context, log_url(self._hook, cluster))
        if state in WORKING:
            return
        if state not in STARTING:
            reason = cluster["Status"].get("StateChangeReason", {}).get("Message") or "it gave no reason"
            raise AirflowException(f"Cluster {cluster_id} did not come up: {reason}")
        looks = job.looks(START_MINUTES, since)
        if not looks:
            self._hook.conn.terminate_job_flows(JobFlowIds=[cluster_id])
            raise AirflowException(f"Cluster {cluster_id} did not come up in {START_MINUTES} minutes: it was ended.")
        self._task.defer(
            trigger=EmrCreateJobFlowTrigger(
                job_flow_id=cluster_id,
                aws_conn_id=self._hook.aws_conn_id,
                waiter_delay=job.LOOK_SECONDS,
                waiter_max_attempts=looks,
                waiter_name="job_flow_waiting",
            ),
            method_name="resume",
            timeout=timedelta(seconds=looks * job.LOOK_SECONDS) + GRACE,
        )


def cluster_name(context: Any) -> str:
    """The name of a run's cluster."""
    return job.owned(f"{context['ti'].dag_id} {context['ti'].run_id}")


def run_clusters(client: Any, context: Any, states: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The clusters of this run, in one of `states` where some are given; the oldest first."""
    pages = client.get_paginator("list_clusters").paginate(
        CreatedAfter=job.run_begin(context), **({"ClusterStates": list(states)} if states else {})
    )
    found = [cluster for page in pages for cluster in page["Clusters"] if cluster["Name"] == cluster_name(context)]
    return sorted(found, key=lambda cluster: cluster["Status"]["Timeline"]["CreationDateTime"])


def log_url(hook: EmrHook, cluster: dict[str, Any]) -> str:
    """Where a cluster's logs are, in the console of S3."""
    return EmrLogsLink().format_link(
        aws_domain=EmrLogsLink.get_aws_domain(hook.conn_partition),
        aws_partition=hook.conn_partition,
        region_name=hook.conn_region_name,
        log_uri=cluster.get("LogUri", "").split("://", 1)[-1].rstrip("/"),
        job_flow_id=cluster["Id"],
    )
