"""A DagBag over the real DAGs; Airflow's home is a temporary folder, so that no test meets a person's Airflow."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "FORMCAST_"))]:
    del os.environ[name]
# Before Airflow is imported anywhere: it reads its settings then.
HOME = tempfile.TemporaryDirectory(prefix="formcast-airflow-")
os.environ |= {
    "AIRFLOW_HOME": HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
}

import pytest  # noqa: E402
from airflow.dag_processing.dagbag import BundleDagBag  # noqa: E402
from airflow.sdk.exceptions import TaskDeferred  # noqa: E402


@pytest.fixture(scope="session")
def dagbag():
    return BundleDagBag(str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="dags-folder")


SETTINGS = {
    "FORMCAST_LAKE": "s3://lake/forms/",
    "FORMCAST_INPUT": "s3://dumps/{ds}/",
    "FORMCAST_CODE_URI": "s3://lake/code/1a2b/",
    "FORMCAST_EMR_LOG_URI": "s3://logs/emr",
    "FORMCAST_EMR_APPLICATION_ID": "00app",
    "FORMCAST_EMR_JOB_ROLE_ARN": "arn:aws:iam::123456789012:role/job",
    "FORMCAST_EMR_SERVICE_ROLE": "emr-service",
    "FORMCAST_EMR_INSTANCE_PROFILE": "emr-node",
    "FORMCAST_EMR_SUBNET_IDS": "subnet-a, subnet-b",
    "FORMCAST_EMR_SECURITY_GROUPS": "sg-primary,sg-others,sg-access",
    "FORMCAST_EMR_SECURITY_CONFIGURATION": "formcast",
    "FORMCAST_MODE": "increment",
    "FORMCAST_AIRFLOW_PASSWORD": "secret",
    "FORMCAST_CORES": "1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@pytest.fixture
def aws(dagbag, monkeypatch):
    """AWS as the engines see it, with a worker's settings, a package and a dump of 3 GB in place."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from fake_aws import FakeAws

    fake = FakeAws()
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(AwsGenericHook, "conn", property(lambda hook: fake.clients[hook.client_type]))
    code = "lake/code/1a2b/spark_conf"
    fake.objects |= {
        f"{code}/aws.conf": "# why\nspark.jars /delta.jar\n\nspark.x -Da=b -Dc=d\n",
        f"{code}/emr.conf": "spark.only emr\n",
        f"{code}/emr_serverless.conf": "spark.only serverless\n",
        f"{code}/log4j2_aws.properties": "# why\nrootLogger.level = warn\n",
        "dumps/2026-03-04/part.csv": "x" * 1000,
        "dumps/2026-03-04-late.csv": "x" * 10**6,
    }
    return fake


class Task:
    """A task of a DAG as Airflow runs it: rendered, executed, resumed with what it was deferred with."""

    def __init__(self, dagbag, dag_id, task_id, params):
        self._make = lambda: dagbag.dags[dag_id].get_task(task_id).prepare_for_execution()
        self._params = params
        self.links = []
        self.operator = None
        self.xcoms = {}
        instance = SimpleNamespace(
            dag_id=dag_id,
            task_id=task_id,
            run_id="manual__1",
            max_tries=2,
            xcom_push=lambda key, value: self.links.append(value),
            xcom_pull=lambda task_ids, key: self.xcoms.get((task_ids, key)),
        )
        self.context = {"ti": instance, "dag_run": RUN}

    def _fresh(self):
        self.operator = self._make()
        self.operator.render_template_fields({"params": self._params, "run_id": "manual__1"})
        return self.operator

    def execute(self):
        """None where the task has ended well, else what it waits for."""
        try:
            self._fresh().execute(self.context)
        except TaskDeferred as deferred:
            return deferred

    def resume(self, deferred):
        try:
            method = getattr(self._fresh(), deferred.method_name)
            method(self.context, event={"status": "failure", "message": "it ended"})
        except TaskDeferred as again:
            return again


RUN = SimpleNamespace(logical_date=None, run_after=datetime(2026, 3, 4, 2, tzinfo=UTC))


@pytest.fixture
def task(dagbag):
    """Answers a function: task id and parameters -> a task of the nightly DAG."""
    return lambda task_id, **params: Task(dagbag, "nightly_retrain", task_id, params)
