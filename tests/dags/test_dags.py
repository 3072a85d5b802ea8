"""The DAGs as Airflow sees them: which tasks, in which order, under which policies."""

import ast
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
STEPS = {
    "nightly_retrain": ["prepare", "monitor", "train", "promote", "score", "publish", "report"],
    "score_forms": ["prepare", "monitor", "score", "publish", "report"],
    "maintain_tables": ["maintain"],
}
AROUND = ("claim_lake", "start_cluster", "end_cluster", "release_lake")


def test_every_file_is_read_without_an_error(dagbag):
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == set(STEPS)


@pytest.mark.parametrize("dag_id", STEPS)
def test_tasks_are_one_chain_while_the_run_has_lake_and_cluster(dagbag, dag_id):
    edges = {task.task_id: task.downstream_task_ids for task in dagbag.dags[dag_id].tasks}
    chain = ["claim_lake", "start_cluster", *STEPS[dag_id], "end_cluster", "release_lake"]
    expected = dict(zip(chain, [*({task} for task in chain[1:]), set()], strict=True))
    expected["claim_lake"] |= {"release_lake"}
    expected["start_cluster"] |= {"end_cluster"}
    assert edges == expected


@pytest.mark.parametrize("dag_id", STEPS)
def test_cluster_and_lake_are_given_up_whatever_became_of_the_steps(dagbag, dag_id):
    claim, start, end, release = (dagbag.dags[dag_id].get_task(task_id) for task_id in AROUND)
    assert claim.is_setup and start.is_setup and end.is_teardown and release.is_teardown
    assert {end.trigger_rule, release.trigger_rule} == {"all_done_setup_success"}
    # The writers' pool would make a cluster that is paid for, or a run that has the lake, wait for its turn.
    assert {task.pool for task in (claim, start, end, release)} == {"default_pool"}


@pytest.mark.parametrize("dag_id", STEPS)
def test_policies_hold(dagbag, dag_id):
    dag = dagbag.dags[dag_id]
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert dag.dagrun_timeout
    assert dag.start_date.isoformat() == "2026-01-01T00:00:00+00:00"
    assert dag.doc_md
    assert "formcast" in dag.tags
    for task in dag.tasks:
        assert task.owner == "formcast"
        assert task.pool == "lake_writer" or task.task_id in AROUND
        assert task.retries == 2
        assert task.retry_exponential_backoff
        assert task.retry_delay < task.max_retry_delay
        assert timedelta() < task.execution_timeout < dag.dagrun_timeout
        assert task.doc_md
        assert task.on_failure_callback


def test_schedules_are_in_utc(dagbag):
    assert {dag_id: getattr(dag.timetable, "expression", None) for dag_id, dag in dagbag.dags.items()} == {
        "nightly_retrain": "0 2 * * *",
        "score_forms": None,
        "maintain_tables": "0 6 * * 0",
    }


@pytest.mark.parametrize("dag_id", ["nightly_retrain", "score_forms"])
def test_only_publish_updates_the_asset(dagbag, dag_id):
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dagbag.dags[dag_id].tasks}
    assert outlets.pop("publish") == ["formcast_predictions"]
    assert not any(outlets.values())


@pytest.mark.parametrize("dag_id", STEPS)
def test_params_are_typed_and_explained(dagbag, dag_id):
    params = dagbag.dags[dag_id].params
    for name in params:
        param = params.get_param(name)
        assert {"type", "title"} <= set(param.schema), name
        assert param.description, name


@pytest.mark.parametrize(
    "given",
    [
        {"layout": "tall"},
        {"mode": "all"},
        {"max_reject_fraction": 2},
        {"max_reject_fraction": "1"},
        {"warn_row_drop": 2},
        {"expected_rows": 0.5},
        {"search_budget": "10 minutes"},
        {"engine": "cloud"},
    ],
)
def test_params_refuse_what_is_no_choice(dagbag, given):
    params = dagbag.dags["nightly_retrain"].params
    with pytest.raises(ValueError, match=r"Failed validating"):
        [params.get_param(name).resolve(value) for name, value in given.items()]


@pytest.mark.parametrize("path", sorted(DAGS.rglob("*.py")), ids=lambda path: path.name)
def test_dag_files_import_nothing_of_ours(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names}
    # botocore comes with Airflow's amazon provider: its errors are what that raises.
    assert tops <= set(sys.stdlib_module_names) | {"airflow", "botocore", "policy", "spark_engine", "engines"}


ALONE = """
import socket, sys, time
def refuse(*_): raise OSError("a DAG file asks the network")
socket.socket.connect = socket.getaddrinfo = refuse
import airflow.sdk
from airflow.sdk import DAG, Asset, BaseOperator, Param
sys.path.insert(0, sys.argv[1])
begin = time.process_time()
__import__(sys.argv[2])
print(time.process_time() - begin)
"""


@pytest.mark.parametrize("dag_id", STEPS)
def test_dag_file_is_read_in_a_second_without_network_or_database(dag_id):
    env = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/airflow.db"}
    command = [sys.executable, "-c", ALONE, str(DAGS), dag_id]
    read = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    assert float(read.stdout.split()[-1]) < 1


def test_failure_hook_tells_file_and_command(dagbag, tmp_path, monkeypatch):
    script = tmp_path / "hook.py"
    script.write_text("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())")
    monkeypatch.setenv("FORMCAST_LOGS", str(tmp_path))
    monkeypatch.setenv("FORMCAST_ON_FAILURE", f"{sys.executable} {script} {tmp_path / 'told.json'}")
    task = SimpleNamespace(dag_id="d", task_id="train", run_id="r", try_number=3)

    from policy import tell_failure

    tell_failure({"task_instance": task, "exception": ValueError("no model")})

    assert json.loads((tmp_path / "told.json").read_text())["error"] == "no model"
    assert json.loads((tmp_path / "failures.jsonl").read_text())["task"] == "train"
