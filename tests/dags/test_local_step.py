"""The operator of the local engine, run for real on small scripts in place of `formcast`."""

import json
import os
import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

RUN = SimpleNamespace(logical_date=None, run_after=datetime(2026, 3, 4, 2, tzinfo=UTC))


@pytest.fixture
def step(dagbag, tmp_path, monkeypatch):
    """Answers a function: the text of a script -> the `prepare` task of the nightly, with that script as program."""

    def with_program(script: str):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("FORMCAST_BIN", str(program))
        task = dagbag.dags["nightly_retrain"].get_task("prepare")
        return task.prepare_for_execution()

    return with_program


def rendered(task, params):
    task.render_template_fields({"params": params, "run_id": "manual__2026-03-04T02:00:00+00:00"})
    return task


def context(max_tries=2, **xcoms):
    """As Airflow gives it. max_tries: 2 as long as the task was not cleared; xcoms: what claim_lake has pinned."""
    instance = SimpleNamespace(max_tries=max_tries, xcom_pull=lambda task_ids, key: xcoms.get(key))
    return {"dag_run": RUN, "ti": instance}


def execute(task):
    """As Airflow would: with its settings rendered, and no parameter given."""
    rendered(task, {}).execute(context())


def test_params_reach_the_step_as_they_are(step, tmp_path, monkeypatch):
    monkeypatch.setenv("FORMCAST_LAYOUT", "wide")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "secret")
    task = step(f'echo "$@" > {tmp_path}/args; env -0 > {tmp_path}/env')
    params = {"input": "/my dumps/$(rm x)/{ds}.csv", "max_reject_fraction": 0.0, "layout": None, "run_id": None}
    params["search_budget"] = "90s"

    rendered(task, params).execute(context())

    env = dict(pair.split("=", 1) for pair in (tmp_path / "env").read_text().split("\0") if pair)
    assert (tmp_path / "args").read_text() == "step prepare\n"
    assert env["FORMCAST_INPUT"] == "/my dumps/$(rm x)/2026-03-04.csv"
    assert env["FORMCAST_MAX_REJECT_FRACTION"] == "0.0"
    assert env["FORMCAST_LAYOUT"] == "wide"
    assert env["FORMCAST_SEARCH_BUDGET"] == "90s"
    assert env["FORMCAST_RUN_ID"] == "manual__2026-03-04T02:00:00+00:00"
    assert "secret" not in json.dumps(env)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_failure_that_no_retry_helps_fails_at_once_with_the_sentence(step, code):
    task = step(f"echo 'formcast: 7 % of lines are bad: fix them.' >&2; echo JVM noise >&2; exit {code}")
    with pytest.raises(AirflowFailException, match=f"exit code {code}: 7 % of lines are bad: fix them."):
        execute(task)


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_other_failures_are_retried(step, end):
    with pytest.raises(AirflowException) as raised:
        execute(step(end))
    assert not isinstance(raised.value, AirflowFailException)


def test_missing_program_says_what_to_do(step, monkeypatch):
    task = step("exit 0")
    monkeypatch.setenv("FORMCAST_BIN", "/nowhere/formcast")
    with pytest.raises(AirflowFailException, match="make setup"):
        execute(task)


def test_on_kill_ends_the_children_too(step, tmp_path):
    task = step(f"sleep 300 & echo $! > {tmp_path}/child; wait")

    def run():
        with pytest.raises(AirflowException):
            execute(task)

    worker = threading.Thread(target=run)
    worker.start()
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert worker.is_alive()
        time.sleep(0.01)
    task.on_kill()
    worker.join(60)

    assert not worker.is_alive()
    assert not is_alive(int((tmp_path / "child").read_text()))


def is_alive(pid: int) -> bool:
    for _ in range(3_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True
