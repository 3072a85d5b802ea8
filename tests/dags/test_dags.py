"""The DAGs as Airflow sees them: which tasks, in which order, under which policies."""

import ast
import json
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
CHAINS = {
    "nightly_retrain": ["prepare", "monitor", "train", "promote", "score", "publish", "report"],
    "score_forms": ["prepare", "score", "publish", "report"],
    "maintain_tables": ["maintain"],
}


def test_every_file_is_read_without_an_error(dagbag):
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == set(CHAINS)


@pytest.mark.parametrize("dag_id", CHAINS)
def test_tasks_are_one_chain(dagbag, dag_id):
    edges = {task.task_id: task.downstream_task_ids for task in dagbag.dags[dag_id].tasks}
    steps = CHAINS[dag_id]
    assert edges == dict(zip(steps, [*({step} for step in steps[1:]), set()], strict=True))


@pytest.mark.parametrize("dag_id", CHAINS)
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
        assert task.pool == "lake_writer"
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


@pytest.mark.parametrize("dag_id", CHAINS)
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
        {"search_budget": "10 minutes"},
    ],
)
def test_params_refuse_what_is_no_choice(dagbag, given):
    params = dagbag.dags["nightly_retrain"].params
    with pytest.raises(ValueError, match=r"Failed validating"):
        [params.get_param(name).resolve(value) for name, value in given.items()]


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.name)
def test_dag_files_import_nothing_of_ours(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names}
    assert tops <= set(sys.stdlib_module_names) | {"airflow", "policy", "spark_engine"}


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
