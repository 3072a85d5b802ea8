"""The AWS engines over HTTP, against moto: a whole night in Airflow, and the triggers that tasks wait in.

moto's job runs succeed at once, and its clusters work at once: here a run still works when it is first looked at, so
that its task waits in a trigger. The states between are in the tests of each engine.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.aws_server import aws_process

ROOT = Path(__file__).resolve().parents[2]
STATES = """
from moto.core.utils import utcnow
from moto.emrserverless.models import JobRun

def state(run):
    run.looks = getattr(run, "looks", 0) + 1
    return run.end if run.looks > 1 else "RUNNING"

JobRun.state = property(state, lambda run, end: setattr(run, "end", end))
# moto knows only the day.
JobRun.created_at = property(lambda run: run.made, lambda run, day: setattr(run, "made", utcnow()))
"""
STEPS = ["prepare", "monitor", "train", "promote", "score", "publish", "report"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with (
        (tmp_path_factory.mktemp("moto") / "log").open("w") as log,
        aws_process(python=ROOT / ".venv/bin/python", first=STATES, log=log) as address,
    ):
        yield address


@pytest.fixture
def moto(endpoint, monkeypatch):
    """AWS's variables, an application with a job run of somebody else, a package in S3. Answers its settings."""
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    s3, serverless = boto3.client("s3"), boto3.client("emr-serverless")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for file in ROOT.glob("spark_conf/*"):
        s3.upload_file(str(file), "lake", f"code/1a2b/spark_conf/{file.name}")
    # moto knows no label of Spark 4: the label is Terraform's here, not the engine's.
    application = serverless.create_application(name="formcast", releaseLabel="emr-7.13.0", type="SPARK")
    role = "arn:aws:iam::123456789012:role/job"
    # moto lists the runs of an application only after its first.
    serverless.start_job_run(applicationId=application["applicationId"], executionRoleArn=role, name="another")
    yield settings | {
        "FORMCAST_ENGINE": "emr_serverless",
        "FORMCAST_LAKE": "s3://lake",
        "FORMCAST_INPUT": "s3://lake/dumps/{ds}",
        "FORMCAST_CODE_URI": "s3://lake/code/1a2b",
        "FORMCAST_EMR_LOG_URI": "s3://lake/logs",
        "FORMCAST_EMR_APPLICATION_ID": application["applicationId"],
        "FORMCAST_EMR_JOB_ROLE_ARN": role,
    }
    boto3.resource("s3").Bucket("lake").objects.delete()
    s3.delete_bucket(Bucket="lake")


def night(settings, folder):
    """`airflow dags test` of the nightly DAG, on a database of its own."""
    shutil.copyfile(ROOT / ".airflow" / "fresh.db", folder / "airflow.db")
    own = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "FORMCAST_RETRIES": "0",
    }
    command = [Path(sys.executable).with_name("airflow"), "dags", "test", "nightly_retrain", "2026-03-04"]
    env = os.environ | settings | own
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)


def test_whole_night_is_one_job_run_a_step_in_order(moto, tmp_path):
    done = night(moto, tmp_path)

    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    assert told.count("[DAG TEST] running trigger in line") == len(STEPS)
    client, application = boto3.client("emr-serverless"), moto["FORMCAST_EMR_APPLICATION_ID"]
    names = [run["name"] for run in client.list_job_runs(applicationId=application)["jobRuns"]]
    assert [name.split()[0] for name in names] == ["another", *(f"nightly_retrain.{step}" for step in STEPS)]
    assert len({name.split()[1] for name in names[1:]}) == 1


def test_task_that_waits_goes_on_when_its_trigger_says_so(moto, dagbag):
    from airflow.providers.amazon.aws.triggers.emr import EmrCreateJobFlowTrigger, EmrServerlessStartJobTrigger

    client, application = boto3.client("emr-serverless"), moto["FORMCAST_EMR_APPLICATION_ID"]
    [job] = client.list_job_runs(applicationId=application)["jobRuns"]
    cluster = boto3.client("emr").run_job_flow(Name="c", Instances={"KeepJobFlowAliveWhenNoSteps": True})
    common = {"waiter_delay": 1, "waiter_max_attempts": 2, "aws_conn_id": None}
    triggers = [
        EmrServerlessStartJobTrigger(application_id=application, job_id=job["id"], **common),
        EmrCreateJobFlowTrigger(job_flow_id=cluster["JobFlowId"], waiter_name="job_flow_waiting", **common),
    ]

    async def first_event(trigger):
        return (await anext(trigger.run())).payload["status"]

    assert [asyncio.run(first_event(trigger)) for trigger in triggers] == ["success", "success"]


def test_job_of_a_cleared_task_is_cancelled_by_its_trigger(moto, dagbag):
    from airflow.providers.amazon.aws.triggers.emr import EmrServerlessStartJobTrigger

    client, application = boto3.client("emr-serverless"), moto["FORMCAST_EMR_APPLICATION_ID"]
    [job] = client.list_job_runs(applicationId=application)["jobRuns"]
    trigger = EmrServerlessStartJobTrigger(application_id=application, job_id=job["id"], aws_conn_id=None)

    asyncio.run(trigger.on_kill())

    assert client.get_job_run(applicationId=application, jobRunId=job["id"])["jobRun"]["state"] == "CANCELLED"


def test_cluster_of_a_run_is_made_once_and_ended(moto, task, monkeypatch):
    for name, value in moto.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORMCAST_EMR_SERVICE_ROLE", "service")
    monkeypatch.setenv("FORMCAST_EMR_INSTANCE_PROFILE", "node")
    monkeypatch.setenv("FORMCAST_EMR_SUBNET_IDS", "subnet-a")
    monkeypatch.setenv("FORMCAST_EMR_SECURITY_GROUPS", "a,b,c")
    monkeypatch.setenv("FORMCAST_EMR_SECURITY_CONFIGURATION", "formcast")
    start, train, end = (task(task_id, engine="emr") for task_id in ("start_cluster", "train", "end_cluster"))

    for _ in range(2):
        assert start.execute() is None
    waits = [train.execute().trigger.serialize()[1]["step_ids"] for _ in range(2)]
    end.execute()

    client = boto3.client("emr")
    mine = [found for found in client.list_clusters()["Clusters"] if found["Name"] == "nightly_retrain manual__1"]
    assert [found["Status"]["State"] for found in mine] == ["TERMINATED"]
    assert waits == [[step["Id"] for step in client.list_steps(ClusterId=mine[0]["Id"])["Steps"]]] * 2
