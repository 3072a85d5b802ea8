"""The engine `emr`: a step is a step on the run's cluster, found by its name.

A try of a task takes up a step that works or has succeeded, and adds another only after one that has failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.triggers.emr import EmrAddStepsTrigger
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from engines import job
from engines.claims import S3Claims
from engines.emr_cluster import ACTIVE, GRACE, log_url, run_clusters
from engines.emr_request import step_request
from engines.environment import job_environment, redo_of
from engines.s3 import S3Files

NAME = "emr"
SUCCEEDED, CANCELLING = "COMPLETED", "CANCEL_PENDING"
ENDED_BADLY = {"FAILED", "CANCELLED", "INTERRUPTED"}


class Emr:
    """A step on the cluster. Its log is with the cluster's; its sentence comes back through the lake.

    A task that is cleared is done again: what was still at work is cancelled first. A task that is marked as failed
    lets end_cluster end the step with the cluster.
    """

    def __init__(self, step: Any) -> None:
        self._step = step
        self._hook = EmrHook(emr_conn_id=None)
        self._cluster_id = self._step_id = ""

    def run(self, context: Any) -> None:
        redo = redo_of(self._step, context)
        env, name = job_environment(self._step.settings, context, redo), job.task_name(context, redo)
        with job.plain_errors(f"Step {self._step.task_id} cannot be started on EMR"):
            self._end_what_was_cleared(context, job.names_before(context, redo))
            steps = self._steps(context, {name})
            if steps and steps[-1]["Status"]["State"] == CANCELLING:
                # Only one may write: the next is added when this one is gone.
                self._step_id = steps[-1]["Id"]
                self._wait(job.looks(self._step.minutes), "execute")
            if steps and steps[-1]["Status"]["State"] not in ENDED_BADLY:
                told, self._step_id = self._told(name, len(steps) - 1, env), steps[-1]["Id"]
            else:
                S3Claims(self._step, context).check()
                told = self._told(name, len(steps), env)
                self._step_id = self._start(context, name, told, env)
            self._settle(context, told)

    def resume(self, context: Any) -> None:
        redo = redo_of(self._step, context)
        env, name = job_environment(self._step.settings, context, redo), job.task_name(context, redo)
        with job.plain_errors(f"Step {self._step.task_id} cannot be followed on EMR"):
            steps = self._steps(context, {name}, active=False)
            self._step_id = steps[-1]["Id"]
            self._settle(context, self._told(name, len(steps) - 1, env))

    def stop(self) -> None:
        if self._step_id:
            self._hook.conn.cancel_steps(
                ClusterId=self._cluster_id,
                StepIds=[self._step_id],
                StepCancellationOption="TERMINATE_PROCESS",
            )

    def _told(self, name: str, number: int, env: dict[str, str]) -> str:
        return job.Attempt(f"{self._cluster_id} {name}", number).told(env["FORMCAST_LAKE"])

    def _settle(self, context: Any, told: str) -> None:
        """Answer where the step has succeeded, raise where it has failed, and wait where it still works."""
        client, task = self._hook.conn, self._step
        task.log.info("Step %s on cluster %s.", self._step_id, self._cluster_id)
        task.tell_logs(context, log_url(self._hook, client.describe_cluster(ClusterId=self._cluster_id)["Cluster"]))
        status = client.describe_step(ClusterId=self._cluster_id, StepId=self._step_id)["Step"]["Status"]
        if status["State"] == SUCCEEDED:
            return
        if status["State"] in ENDED_BADLY:
            failure, reason = status.get("FailureDetails") or {}, status.get("StateChangeReason") or {}
            details = failure.get("Message") or failure.get("Reason") or reason.get("Message") or "EMR gave no reason"
            job.raise_failure(task.task_id, details, S3Files().status(told), f"step {self._step_id}")
        looks = job.looks(task.minutes, since=status["Timeline"]["CreationDateTime"])
        if not looks:
            self.stop()
            raise AirflowException(f"Step {task.task_id} took over {task.minutes} minutes: it was cancelled.")
        self._wait(looks, "resume")

    def _wait(self, looks: int, method: str) -> None:
        self._step.defer(
            trigger=EmrAddStepsTrigger(
                job_flow_id=self._cluster_id,
                step_ids=[self._step_id],
                waiter_delay=job.LOOK_SECONDS,
                waiter_max_attempts=looks,
                aws_conn_id=self._hook.aws_conn_id,
            ),
            method_name=method,
            timeout=timedelta(seconds=looks * job.LOOK_SECONDS) + GRACE,
        )

    def _end_what_was_cleared(self, context: Any, names: set[str]) -> None:
        """A step that was at work when its task was cleared ends before the next begins: only one may write."""
        steps = self._steps(context, names) if names else []
        working = [step for step in steps if step["Status"]["State"] not in (SUCCEEDED, *ENDED_BADLY)]
        if working:
            self._step_id = working[-1]["Id"]
            self.stop()
            self._wait(job.looks(self._step.minutes), "execute")

    def _steps(self, context: Any, names: set[str], *, active: bool = True) -> list[dict[str, Any]]:
        """The steps of these names on the run's newest cluster, oldest first; active: which can take one."""
        found = run_clusters(self._hook.conn, context, ACTIVE if active else ())
        if not found:
            raise AirflowFailException(
                f"Step {self._step.task_id}: the cluster of this run has ended. Clear this task with start_cluster."
            )
        self._cluster_id = found[-1]["Id"]
        pages = self._hook.conn.get_paginator("list_steps").paginate(ClusterId=self._cluster_id)
        steps = [step for page in pages for step in page["Steps"] if step["Name"] in names]
        return sorted(steps, key=lambda step: step["Status"]["Timeline"]["CreationDateTime"])

    def _start(self, context: Any, name: str, told: str, env: dict[str, str]) -> str:
        region = self._hook.conn.meta.region_name
        spark = job.spark_properties(S3Files(), job.code_uri(context), NAME, env, region)
        driver = job.step_environment(env, told, NAME, region)
        request = step_request(name, self._step.command, spark, driver)
        return self._hook.conn.add_job_flow_steps(JobFlowId=self._cluster_id, Steps=[request])["StepIds"][0]
