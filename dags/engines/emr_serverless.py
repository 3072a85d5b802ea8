"""The engine `emr_serverless`: a step is a job run of an application that was made ahead.

A try of a task first looks for job runs of its name. One that works or has succeeded is taken up; only after one that
has failed another is started, under a token of its own: a retry of Airflow's never makes a second job beside a first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.links.emr import EmrServerlessCloudWatchLogsLink, EmrServerlessS3LogsLink
from airflow.providers.amazon.aws.triggers.emr import EmrServerlessStartJobTrigger
from airflow.sdk.exceptions import AirflowException

from engines import job
from engines.claims import S3Claims
from engines.environment import job_environment, redo_of, required
from engines.s3 import S3Files

NAME = "emr_serverless"
SUCCEEDED, CANCELLING = "SUCCESS", "CANCELLING"
ENDED_BADLY = {"FAILED", "CANCELLED"}
PYTHON = "./environment/bin/python"
GRACE = timedelta(minutes=10)


class EmrServerless:
    """A step as a job run. Its log is on S3; its sentence comes back through the lake."""

    def __init__(self, step: Any) -> None:
        self._step = step
        self._application, self._role, self._logs = required(
            *("FORMCAST_EMR_APPLICATION_ID", "FORMCAST_EMR_JOB_ROLE_ARN", "FORMCAST_EMR_LOG_URI")
        )
        self._hook = EmrServerlessHook()
        self._job_id = ""

    def run(self, context: Any) -> None:
        redo = redo_of(self._step, context)
        env, name = job_environment(self._step.settings, context, redo), job.task_name(context, redo)
        with job.plain_errors(f"Step {self._step.task_id} cannot be started on EMR Serverless"):
            self._end_what_was_cleared(context, job.names_before(context, redo))
            runs = self._runs(context, {name})
            if runs and runs[-1]["state"] == CANCELLING:
                # Only one may write: the next is started when this one is gone.
                self._job_id = runs[-1]["id"]
                self._wait(job.looks(self._step.minutes), "execute")
            if runs and runs[-1]["state"] not in ENDED_BADLY:
                attempt, self._job_id = job.Attempt(name, len(runs) - 1), runs[-1]["id"]
            else:
                S3Claims(self._step, context).check()
                attempt = job.Attempt(name, len(runs))
                self._job_id = self._start(attempt, env, job.code_uri(context))
            self._settle(context, attempt.told(env["FORMCAST_LAKE"]))

    def resume(self, context: Any) -> None:
        redo = redo_of(self._step, context)
        env, name = job_environment(self._step.settings, context, redo), job.task_name(context, redo)
        with job.plain_errors(f"Step {self._step.task_id} cannot be followed on EMR Serverless"):
            runs = self._runs(context, {name})
            self._job_id = runs[-1]["id"]
            self._settle(context, job.Attempt(name, len(runs) - 1).told(env["FORMCAST_LAKE"]))

    def stop(self) -> None:
        if self._job_id:
            self._hook.conn.cancel_job_run(applicationId=self._application, jobRunId=self._job_id)

    def _settle(self, context: Any, told: str) -> None:
        """Answer where the job has succeeded, raise where it has failed, and wait where it still works."""
        self._step.log.info("Job run %s of application %s.", self._job_id, self._application)
        self._step.tell_logs(context, self._log_url())
        run = self._hook.conn.get_job_run(applicationId=self._application, jobRunId=self._job_id)["jobRun"]
        if run["state"] == SUCCEEDED:
            return
        if run["state"] in ENDED_BADLY:
            details = run.get("stateDetails") or f"the job run is {run['state']}"
            status = S3Files().status(told)
            job.raise_failure(self._step.task_id, details, status, f"job run {self._job_id}")
        looks = job.looks(self._step.minutes, since=run["createdAt"])
        if not looks:
            self.stop()
            raise AirflowException(
                f"Step {self._step.task_id} took over {self._step.minutes} minutes: it was cancelled."
            )
        self._wait(looks, "resume")

    def _wait(self, looks: int, method: str) -> None:
        self._step.defer(
            trigger=EmrServerlessStartJobTrigger(
                application_id=self._application,
                job_id=self._job_id,
                waiter_delay=job.LOOK_SECONDS,
                waiter_max_attempts=looks,
                aws_conn_id=self._hook.aws_conn_id,
                cancel_on_kill=True,
            ),
            method_name=method,
            timeout=timedelta(seconds=looks * job.LOOK_SECONDS) + GRACE,
        )

    def _end_what_was_cleared(self, context: Any, names: set[str]) -> None:
        """A job that was at work when its task was cleared ends before the next begins: only one may write."""
        runs = self._runs(context, names) if names else []
        working = [run for run in runs if run["state"] not in (SUCCEEDED, *ENDED_BADLY)]
        if working:
            self._job_id = working[-1]["id"]
            if working[-1]["state"] != CANCELLING:
                self.stop()
            self._wait(job.looks(self._step.minutes), "execute")

    def _runs(self, context: Any, names: set[str]) -> list[dict[str, Any]]:
        """The job runs of these names since this run of the DAG began, the oldest first."""
        pages = self._hook.conn.get_paginator("list_job_runs").paginate(
            applicationId=self._application, createdAtAfter=job.run_begin(context)
        )
        runs = [run for page in pages for run in page["jobRuns"] if run.get("name") in names]
        return sorted(runs, key=lambda run: run["createdAt"])

    def _start(self, attempt: job.Attempt, env: dict[str, str], code: str) -> str:
        region = self._hook.conn.meta.region_name
        files = S3Files()
        driver = job.step_environment(env, attempt.told(env["FORMCAST_LAKE"]), NAME, region)
        spark = job.spark_properties(files, code, NAME, env, region)
        spark |= {f"spark.emr-serverless.driverEnv.{name}": value for name, value in driver.items()}
        log4j = files.properties(f"{code}/spark_conf/log4j2_aws.properties", "=")
        answer = self._hook.conn.start_job_run(
            applicationId=self._application,
            clientToken=attempt.token,
            name=attempt.name,
            executionRoleArn=self._role,
            executionTimeoutMinutes=self._step.minutes,
            jobDriver={
                "sparkSubmit": {
                    "entryPoint": f"{code}/entry.py",
                    "entryPointArguments": self._step.command,
                    "sparkSubmitParameters": self._submit_parameters(code),
                }
            },
            configurationOverrides={
                "applicationConfiguration": [
                    {"classification": "spark-defaults", "properties": spark},
                    {"classification": "spark-driver-log4j2", "properties": log4j},
                    {"classification": "spark-executor-log4j2", "properties": log4j},
                ],
                "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": self._logs}},
            },
            tags={"formcast:step": self._step.task_id, "formcast:engine": NAME},
        )
        return answer["jobRunId"]

    def _submit_parameters(self, code: str) -> str:
        """The service unpacks what is named here before it starts Python, on the driver as on executors."""
        conf = {
            "spark.archives": f"{code}/environment.tar.gz#environment",
            "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
            "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
            "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
        }
        return " ".join(f"--conf {name}={value}" for name, value in conf.items())

    def _log_url(self) -> str:
        return EmrServerlessS3LogsLink().format_link(
            aws_domain=EmrServerlessCloudWatchLogsLink.get_aws_domain(self._hook.conn_partition),
            aws_partition=self._hook.conn_partition,
            region_name=self._hook.conn_region_name,
            log_uri=self._logs,
            application_id=self._application,
            job_run_id=self._job_id,
        )
