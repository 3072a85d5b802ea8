"""What a step is on AWS, on either engine: its name and token, what it is told, and how its end is understood."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError

from engines import NO_RETRY_CAN_HELP
from engines.environment import pinned
from engines.s3 import S3Files
from engines.sizing import spark_sizes

LOOK_SECONDS = 30
LOOK_BACK = timedelta(days=1)
"""Jobs are looked for from a day before the run on: clocks differ."""

NAME_LENGTH = 256
_REFUSED = {"AccessDenied", "AccessDeniedException", "ValidationException", "InvalidRequestException"}
_MISSING = {"ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "404"}
_EXIT_CODE = re.compile(r"ExitCode: (\d+)")


@dataclass(frozen=True)
class Attempt:
    """A try of a step. All tries of a task share its name; the number is what tells their tokens apart."""

    name: str
    number: int

    @property
    def token(self) -> str:
        """What a service knows this try by: asked twice to start it, it answers the same job."""
        return hashlib.sha256(f"{self.name}\n{self.number}".encode()).hexdigest()[:40]

    def told(self, lake: str) -> str:
        """Where the step leaves its status: a place of the lake that no other try writes to."""
        return f"{lake.rstrip('/')}/logs/steps/{self.token}"


def task_name(context: Any, redo: int = 0) -> str:
    """The name of a task of a run, the same for each try; at most 256 characters, as AWS has it.

    redo: of a task that was cleared (engines.environment.redo_of). It is then done anew, under a name of its own.
    """
    task = context["ti"]
    return owned(f"{task.dag_id}.{task.task_id} {task.run_id}" + (f" redo {redo}" if redo else ""))


def names_before(context: Any, redo: int) -> set[str]:
    """What the task was called before it was cleared, however often: a job of these names is of no use any more."""
    return {task_name(context, earlier) for earlier in range(redo)}


def code_uri(context: Any) -> str:
    """Where the run's code package is: as the run found it when it began. Raises AirflowFailException without one."""
    place = pinned(context, "FORMCAST_CODE_URI").strip().rstrip("/")
    if not place:
        raise AirflowFailException("Airflow's environment lacks FORMCAST_CODE_URI: set what the engine needs.")
    return place


def owned(name: str) -> str:
    """A name behind FORMCAST_EMR_NAME, where that is set: EMR lists the clusters of all who share the account."""
    return shortened(f"{os.environ.get('FORMCAST_EMR_NAME', '')} {name}".strip())


def shortened(name: str) -> str:
    """A name that AWS takes: where it is too long, its end gives way to a digest of it."""
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 17]} {hashlib.sha256(name.encode()).hexdigest()[:16]}"


def run_begin(context: Any) -> datetime:
    """No job of the run was made before this."""
    return context["dag_run"].run_after - LOOK_BACK


def most_executors() -> int:
    """FORMCAST_EMR_MAX_EXECUTORS, 20 unless set. Raises AirflowFailException where it is no number."""
    text = os.environ.get("FORMCAST_EMR_MAX_EXECUTORS") or "20"
    if not text.isdecimal() or int(text) < 1:
        raise AirflowFailException(f"FORMCAST_EMR_MAX_EXECUTORS cannot be {text!r}: give a number from 1 on.")
    return int(text)


def spark_properties(files: S3Files, code: str, engine: str, env: dict[str, str], region: str) -> dict[str, str]:
    """Spark's properties of a job: those that ship with the code, and the sizes that its input asks for."""
    sizes = spark_sizes(files.text_bytes(env.get("FORMCAST_INPUT", "")), most_executors())
    regions = {f"spark.executorEnv.{name}": region for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
    conf = files.properties(f"{code}/spark_conf/aws.conf") | files.properties(f"{code}/spark_conf/{engine}.conf")
    return conf | sizes | regions


def step_environment(env: dict[str, str], told: str, engine: str, region: str) -> dict[str, str]:
    """The environment of the driver, which leaves its status in `told`."""
    own = {"FORMCAST_ENGINE": engine, "FORMCAST_LOGS": told}
    return env | own | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def looks(minutes: int, since: datetime | None = None) -> int:
    """How often a job of `since` (now, unless said) is looked at before its `minutes` are over; 0 when they are."""
    begin = since or datetime.now(UTC)
    left = begin + timedelta(minutes=minutes) - datetime.now(UTC)
    return max(0, ceil(left.total_seconds() / LOOK_SECONDS))


def raise_failure(step: str, details: str, status: dict[str, Any] | None, job: str) -> None:
    """Raise what the bad end of a step means: by its own status, else by the exit code in the service's `details`."""
    if status and status.get("status") == "failed":
        code, sentence = int(status.get("exit_code") or 1), str(status.get("message"))
    else:
        found = _EXIT_CODE.search(details)
        code, sentence = (int(found.group(1)) if found else 1), f"{details.rstrip('.') or 'see its logs'} ({job})."
    kind = AirflowFailException if code in NO_RETRY_CAN_HELP else AirflowException
    raise kind(f"Step {step} ended with exit code {code}: {sentence}")


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """AWS's errors as sentences. A refusal, or something that is not there, fails the task at once."""
    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        kind = AirflowFailException if code in _REFUSED | _MISSING else AirflowException
        raise kind(f"{what}: AWS answered {code}: {message}") from error
    except BotoCoreError as error:
        raise AirflowException(f"{what}: AWS could not be asked: {error}") from error
