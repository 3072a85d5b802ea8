"""What the engines share: which one is chosen, what travels to AWS, how large a job is made, what errors say."""

import ast
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

SETTINGS_FILE = Path(__file__).resolve().parents[2] / "jobs" / "settings.py"
OF_A_MACHINE = {"engine", "driver_memory", "cores", "logs", "jars", "spark_conf"}
"""Settings that do not travel: the engine says them, or spark_conf/ does."""


def test_parameter_chooses_the_engine_before_the_environment_does(aws, task, monkeypatch):
    monkeypatch.setenv("FORMCAST_ENGINE", "emr_serverless")
    monkeypatch.setenv("FORMCAST_BIN", "/bin/true")
    task("score", engine="local").execute()
    assert aws.names() == []
    task("score", engine=None).execute()
    assert aws.names() == ["StartJobRun"]


def test_unknown_engine_of_the_environment_is_refused(aws, task, monkeypatch):
    monkeypatch.setenv("FORMCAST_ENGINE", "cloud")
    for task_id in ("start_cluster", "score"):
        with pytest.raises(AirflowFailException, match=r"There is no engine 'cloud': .* local, emr_serverless, emr"):
            task(task_id).execute()


@pytest.mark.parametrize("engine", ["local", "emr_serverless"])
def test_engine_without_a_cluster_begins_and_ends_none(aws, task, engine):
    for task_id in ("start_cluster", "end_cluster"):
        task(task_id, engine=engine).execute()
    assert aws.sent == []


@pytest.mark.parametrize(
    ("task_id", "missing"),
    [
        ("score", ["FORMCAST_EMR_APPLICATION_ID", "FORMCAST_EMR_JOB_ROLE_ARN"]),
        ("start_cluster", ["FORMCAST_EMR_SERVICE_ROLE", "FORMCAST_EMR_SUBNET_IDS"]),
    ],
)
def test_missing_settings_are_all_named_in_one_sentence(aws, task, monkeypatch, task_id, missing):
    engine = "emr" if task_id == "start_cluster" else "emr_serverless"
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(AirflowFailException, match=f"Airflow's environment lacks {', '.join(missing)}: set"):
        task(task_id, engine=engine).execute()
    assert aws.sent == []


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"lake": "/data/lake"}, r"The lake '/data/lake' is a path of a machine.*\(FORMCAST_LAKE\)"),
        ({"input": "dumps/*.csv"}, r"The input 'dumps/\*.csv' is a path of a machine.*\(FORMCAST_INPUT\)"),
    ],
)
def test_data_of_a_machine_is_refused_before_anything_is_started(aws, task, params, sentence):
    with pytest.raises(AirflowFailException, match=sentence):
        task("prepare", engine="emr_serverless", **params).execute()
    assert aws.sent == []


def test_every_setting_of_a_job_travels_and_no_other(dagbag):
    from engines.environment import JOB_SETTINGS

    tree = ast.parse(SETTINGS_FILE.read_text(encoding="utf-8"))
    [settings] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    own = {node.target.id for node in settings.body if isinstance(node, ast.AnnAssign)}
    inherited = {"lake", "dynamodb_table"}
    assert {name.lower() for name in JOB_SETTINGS} == (own | inherited | {"run_id"}) - OF_A_MACHINE


@pytest.mark.parametrize(
    ("forms", "executors", "tasks"),
    [(0, 1, 8), (10**6, 1, 8), (10 * 10**6, 2, 31), (100 * 10**6, 19, 303), (10**9, 20, 3025)],
)
def test_job_is_sized_by_the_bytes_of_203_a_form(dagbag, forms, executors, tasks):
    from engines.sizing import spark_sizes

    assert spark_sizes(forms * 203, most=20) == {
        "spark.dynamicAllocation.initialExecutors": str(executors),
        "spark.dynamicAllocation.maxExecutors": str(executors),
        "spark.default.parallelism": str(executors * 4),
        "spark.sql.shuffle.partitions": str(tasks),
    }


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("s3://dumps/day", 100 + 4 * 10),
        ("s3://dumps/day/", 100 + 4 * 10),
        ("s3://dumps/day/a.csv", 100),
        ("s3://dumps/day/*.gz", 4 * 10),
        ("s3://dumps/d?y*/[ab].csv", 100 + 1000),
        ("s3://dumps/none", 0),
        ("", 0),
    ],
)
def test_input_is_measured_as_it_will_be_read(aws, pattern, size):
    from engines.s3 import S3Files

    aws.objects |= {"dumps/day/a.csv": "x" * 100, "dumps/day/b.csv.gz": "x" * 10, "dumps/day2/b.csv": "x" * 1000}
    assert S3Files().text_bytes(pattern) == size


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", AirflowFailException),
        ("ResourceNotFoundException", AirflowFailException),
        ("ThrottlingException", AirflowException),
    ],
)
def test_what_aws_refuses_is_one_sentence(aws, task, monkeypatch, code, kind):
    def refuse(**_):
        raise ClientError({"Error": {"Code": code, "Message": "not so."}}, "ListJobRuns")

    monkeypatch.setattr(aws, "_list_job_runs", refuse)
    sentence = f"^Step score cannot be started on EMR Serverless: AWS answered {code}: not so.$"
    with pytest.raises(AirflowException, match=sentence) as raised:
        task("score", engine="emr_serverless").execute()
    assert type(raised.value) is kind


def test_names_that_aws_finds_too_long_stay_apart(dagbag):
    from engines.job import shortened

    long = [shortened("n" * 300 + end) for end in ("a", "b")]
    assert {len(name) for name in long} == {256}
    assert long[0] != long[1]
    assert shortened("n" * 256) == "n" * 256


def test_two_deployments_in_an_account_have_clusters_of_their_own(dagbag, monkeypatch):
    from engines.job import owned

    monkeypatch.setenv("FORMCAST_EMR_NAME", "formcast-dev")
    assert owned("nightly_retrain manual__1") == "formcast-dev nightly_retrain manual__1"
