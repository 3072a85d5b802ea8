"""The claim on a lake in S3, from Airflow's side: taken before a run pays for its first job, given up after its last.

The object `_lease`, its fields and its rules are those of jobs/edge/lease.py, by which the steps themselves hold it.
"""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

from engines import job
from engines.environment import job_environment
from engines.s3 import split

NAME = "_lease"
_NOT_THERE = {"404", "NoSuchKey"}
_MOVED = {"ConditionalRequestConflict", "PreconditionFailed"} | _NOT_THERE


class S3Claims:
    """The claim of a task's run on the lake that its settings name."""

    def __init__(self, task: Any, context: Any) -> None:
        env = job_environment(task.settings, context)
        self._lake = env["FORMCAST_LAKE"].rstrip("/")
        self._run_id = clean_run_id(env["FORMCAST_RUN_ID"])
        self._keep = float(os.environ.get("FORMCAST_CLAIM_KEEP") or 1800)
        bucket, prefix = split(self._lake)
        self._place = {"Bucket": bucket, "Key": f"{prefix}/{NAME}" if prefix else NAME}
        self._client = S3Hook(config={"retries": {"mode": "standard", "total_max_attempts": 5}}).conn

    def claim(self) -> str:
        """Claim the lake for the run. Returns "", or a sentence that says who has it."""
        with job.plain_errors(f"The lake {self._lake} cannot be claimed"):
            lease, version = self._read()
            now = time.time()
            if lease and lease["until"] > now and (lease["run_id"] != self._run_id or lease["token"]):
                return self._busy(lease)
            since = lease.get("since") if lease and lease["run_id"] == self._run_id else now
            return "" if self._put(self._between(since or now, now + self._keep), version) else self._busy({})

    def release(self) -> None:
        """Give the lake up. What another run has, or a step that is still at work, stays as it is."""
        with job.plain_errors(f"The lake {self._lake} cannot be given up: the claim ends by itself"):
            lease, version = self._read()
            if lease and lease["run_id"] == self._run_id and not lease["token"]:
                self._put(self._between(lease.get("since", 0.0), 0.0), version)

    def check(self) -> None:
        """Before a job is paid for. Raises AirflowException if another run has the lake."""
        with job.plain_errors(f"The claim on {self._lake} cannot be read"):
            lease, _ = self._read()
        if lease and lease["until"] > time.time() and lease["run_id"] != self._run_id:
            raise AirflowException(f"{self._busy(lease)} No job was started.")

    def _between(self, since: float, until: float) -> dict[str, Any]:
        return {"run_id": self._run_id, "token": "", "until": until, "since": since, "step": "", "alive": ""}

    def _read(self) -> tuple[dict[str, Any] | None, str | None]:
        try:
            answer = self._client.get_object(**self._place)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None, None
            raise
        return json.loads(answer["Body"].read()), answer["ETag"]

    def _put(self, lease: dict[str, Any], version: str | None) -> bool:
        """Write the claim unless it has changed since `version`. Returns whether it was written."""
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(**self._place, Body=json.dumps(lease).encode(), **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MOVED:
                # A write whose answer was lost is tried again by the client, and finds its own work.
                return self._read()[0] == lease
            raise
        return True

    def _busy(self, lease: dict[str, Any]) -> str:
        if not lease:
            return f"Another run has just claimed the lake {self._lake}."
        who = "Another attempt" if lease["run_id"] == self._run_id else f"Run {lease['run_id']}"
        since = lease.get("since")
        began = f" since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC" if since else ""
        doing = f" (step {lease['step']})" if lease.get("step") else ""
        return f"{who} has had the lake {self._lake}{began}{doing}."


def clean_run_id(run_id: str) -> str:
    """As jobs.runner.clean_run_id: the run's name in the lake."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip("-")[:120]
