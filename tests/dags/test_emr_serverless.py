"""The engine `emr_serverless`: what is asked for, and that one step is never two jobs."""

from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

ENGINE = {"engine": "emr_serverless"}
TOLD = "lake/forms/logs/steps/"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def prepare(aws, task):
    return task("prepare", **ENGINE, lake=None, mode=None, search_budget="10m")


def test_job_is_asked_for_with_exactly_these_parameters(aws, prepare):
    prepare.execute()

    [(name, asked)] = aws.sent
    token = asked["clientToken"]
    driver = {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "FORMCAST_ENGINE": "emr_serverless",
        "FORMCAST_AS_OF": "2026-03-04T02:00:00+00:00",
        "FORMCAST_CLAIM_WAIT": "0",
        "FORMCAST_INPUT": "s3://dumps/2026-03-04/",
        "FORMCAST_LAKE": "s3://lake/forms/",
        "FORMCAST_LOGS": f"s3://{TOLD}{token}",
        "FORMCAST_MODE": "increment",
        "FORMCAST_RUN_ID": "manual__1",
        "FORMCAST_SEARCH_BUDGET": "10m",
    }
    spark = {
        "spark.jars": "/delta.jar",
        "spark.x": "-Da=b -Dc=d",
        "spark.only": "serverless",
        "spark.dynamicAllocation.initialExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "1",
        "spark.default.parallelism": "4",
        "spark.sql.shuffle.partitions": "8",
        "spark.executorEnv.AWS_REGION": "eu-west-1",
        "spark.executorEnv.AWS_DEFAULT_REGION": "eu-west-1",
        **{f"spark.emr-serverless.driverEnv.{key}": value for key, value in driver.items()},
    }
    log4j = {"rootLogger.level": "warn"}
    assert name == "StartJobRun"
    assert asked == {
        "applicationId": "00app",
        "clientToken": token,
        "name": "nightly_retrain.prepare manual__1",
        "executionRoleArn": "arn:aws:iam::123456789012:role/job",
        "executionTimeoutMinutes": 60,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": "s3://lake/code/1a2b/entry.py",
                "entryPointArguments": ["step", "prepare"],
                "sparkSubmitParameters": (
                    "--conf spark.archives=s3://lake/code/1a2b/environment.tar.gz#environment "
                    "--conf spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON=./environment/bin/python "
                    "--conf spark.emr-serverless.driverEnv.PYSPARK_PYTHON=./environment/bin/python "
                    "--conf spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python"
                ),
            }
        },
        "configurationOverrides": {
            "applicationConfiguration": [
                {"classification": "spark-defaults", "properties": spark},
                {"classification": "spark-driver-log4j2", "properties": log4j},
                {"classification": "spark-executor-log4j2", "properties": log4j},
            ],
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://logs/emr"}},
        },
        "tags": {"formcast:step": "prepare", "formcast:engine": "emr_serverless"},
    }


def test_task_waits_in_the_triggerer_as_long_as_its_step_may_take(aws, prepare):
    waits = prepare.execute()

    path, kept = waits.trigger.serialize()
    assert path == "airflow.providers.amazon.aws.triggers.emr.EmrServerlessStartJobTrigger"
    assert kept == {
        "application_id": "00app",
        "job_id": "job0",
        "cancel_on_kill": True,
        "waiter_delay": 30,
        "waiter_max_attempts": 120,
        "aws_conn_id": "aws_default",
    }
    assert prepare.links[0].endswith("/s3/buckets/logs?region=eu-west-1&prefix=emr/applications/00app/jobs/job0/")


@pytest.mark.parametrize("state", ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "QUEUED"])
def test_retry_takes_up_a_job_that_works(aws, prepare, state):
    prepare.execute()
    aws.jobs[0]["state"] = state

    waits = prepare.execute()

    assert aws.names() == ["StartJobRun"]
    assert waits.trigger.job_id == "job0"


def test_retry_takes_up_a_job_that_has_succeeded(aws, prepare):
    prepare.execute()
    aws.jobs[0]["state"] = "SUCCESS"

    assert prepare.execute() is None
    assert aws.names() == ["StartJobRun"]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_after_a_job_that_failed_a_retry_starts_another(aws, prepare, state):
    prepare.execute()
    aws.jobs[0]["state"] = state

    waits = prepare.execute()

    assert waits.trigger.job_id == "job1"
    assert aws.jobs[0]["token"] != aws.jobs[1]["token"]


def test_two_tries_at_once_start_one_job(aws, prepare, monkeypatch):
    """A zombie and its successor: neither sees the other's job in the list yet."""
    monkeypatch.setattr(aws, "_list_job_runs", lambda **_: {"jobRuns": []})
    first, second = prepare.execute(), prepare.execute()
    assert first.trigger.job_id == second.trigger.job_id == "job0"


def test_cleared_task_waits_until_its_cancelled_job_is_gone(aws, prepare):
    prepare.execute()
    aws.jobs[0]["state"] = "CANCELLING"

    waits = prepare.execute()
    assert (waits.trigger.job_id, waits.method_name, aws.names()) == ("job0", "execute", ["StartJobRun"])

    aws.jobs[0]["state"] = "CANCELLED"
    assert prepare.resume(waits).trigger.job_id == "job1"


def test_other_tasks_and_runs_have_jobs_of_their_own(aws, prepare, task):
    prepare.execute()
    task("train", **ENGINE).execute()
    other = task("prepare", **ENGINE)
    other.context["ti"].run_id = "manual__2"
    other.execute()
    assert len({job["token"] for job in aws.jobs}) == 3


def test_what_the_step_says_decides_whether_a_retry_can_help(aws, prepare):
    waits = prepare.execute()
    aws.jobs[0] |= {"state": "FAILED", "stateDetails": "Job failed. ExitCode: 1."}
    status = '{"status": "failed", "exit_code": 3, "message": "7 % of lines are bad: fix them."}'
    aws.objects[f"{TOLD}{aws.jobs[0]['token']}/manual-1/prepare.status.json"] = status

    with pytest.raises(AirflowFailException, match=r"^Step prepare ended with exit code 3: 7 % of lines are bad"):
        prepare.resume(waits)


@pytest.mark.parametrize(
    ("details", "kind", "sentence"),
    [
        (
            "Job failed, see logs. ExitCode: 4. Last few exceptions: none",
            AirflowFailException,
            "exit code 4: Job failed",
        ),
        (
            "Job failed. ExitCode: 137.",
            AirflowException,
            r"exit code 137: Job failed. ExitCode: 137 \(job run job0\)",
        ),
        ("", AirflowException, r"exit code 1: the job run is FAILED \(job run job0\)"),
    ],
)
def test_without_its_word_the_service_s_exit_code_decides(aws, prepare, details, kind, sentence):
    waits = prepare.execute()
    aws.jobs[0] |= {"state": "FAILED", "stateDetails": details}
    with pytest.raises(AirflowException, match=sentence) as raised:
        prepare.resume(waits)
    assert type(raised.value) is kind


def test_triggerer_that_lost_sight_of_a_working_job_only_waits_on(aws, prepare):
    again = prepare.resume(prepare.execute())
    assert (again.trigger.job_id, aws.names()) == ("job0", ["StartJobRun"])


def test_job_past_its_time_is_cancelled(aws, prepare):
    waits = prepare.execute()
    aws.jobs[0]["createdAt"] -= 61 * MINUTE
    with pytest.raises(AirflowException, match="took over 60 minutes: it was cancelled"):
        prepare.resume(waits)
    assert aws.names() == ["StartJobRun", "CancelJobRun"]


def test_killed_task_cancels_its_job(aws, prepare):
    prepare.execute()
    prepare.operator.on_kill()
    assert aws.sent[-1] == ("CancelJobRun", {"applicationId": "00app", "jobRunId": "job0"})
