"""A run's claim on its lake in Airflow: taken before anything is paid for, waited for without a slot, given up."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from test_local_step import context

LEASE = "lake/forms/_lease"
SOON = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
CASES = json.loads((Path(__file__).parents[1] / "claims.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_claims_in_s3_follow_the_rules_of_the_steps(aws, task, case):
    """The same cases hold the steps' own claims: tests/integration/test_lease.py."""
    if case["lease"]:
        aws.objects[LEASE] = json.dumps(case["lease"])
    before = aws.objects.get(LEASE)
    waits = task("claim_lake", engine="emr_serverless", run_id="mine").execute()
    if case["taken"]:
        assert waits is None
        lease = json.loads(aws.objects[LEASE])
        assert (lease["run_id"], lease["token"], lease["step"], lease["alive"]) == ("mine", "", "", "")
        assert lease["since"] == case["since"] if case["since"] else lease["since"] > 0
    else:
        assert type(waits).__name__ == "TaskDeferred"
        assert aws.objects[LEASE] == before


def test_a_lake_is_given_up_by_its_run_alone(aws, task):
    task("claim_lake", engine="emr", run_id="mine").execute()
    task("release_lake", engine="emr", run_id="other").execute()
    assert json.loads(aws.objects[LEASE])["until"] > 0
    task("release_lake", engine="emr", run_id="mine").execute()
    assert json.loads(aws.objects[LEASE])["until"] == 0
    assert task("claim_lake", engine="emr", run_id="other").execute() is None


@pytest.mark.parametrize("engine", ["emr", "emr_serverless"])
def test_no_job_is_paid_for_while_another_run_has_the_lake(aws, task, engine):
    task("start_cluster", engine=engine).execute()
    aws.objects[LEASE] = json.dumps({"run_id": "other", "token": "", "until": SOON, "since": 0, "step": ""})
    started = len(aws.sent)
    with pytest.raises(AirflowException, match=r"Run other has had the lake.*No job was started"):
        task("prepare", engine=engine).execute()
    assert aws.sent[started:] == []


def test_the_code_is_what_the_run_found_when_it_began(aws, task, monkeypatch):
    pinned = task("prepare", engine="emr_serverless")
    pinned.xcoms["claim_lake", "FORMCAST_CODE_URI"] = "s3://lake/code/1a2b"
    monkeypatch.setenv("FORMCAST_CODE_URI", "s3://lake/code/of-tomorrow")
    pinned.execute()
    ((_, request),) = [sent for sent in aws.sent if sent[0] == "StartJobRun"]
    assert request["jobDriver"]["sparkSubmit"]["entryPoint"] == "s3://lake/code/1a2b/entry.py"


@pytest.fixture
def local(dagbag, tmp_path, monkeypatch):
    """Returns a function: the script that stands for `formcast` -> the task claim_lake of the nightly."""

    def with_program(script):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("FORMCAST_BIN", str(program))
        task = dagbag.dags["nightly_retrain"].get_task("claim_lake").prepare_for_execution()
        task.render_template_fields({"params": {"engine": "local"}, "run_id": "mine"})
        return task

    return with_program


def claiming(max_tries=2):
    given = context(max_tries)
    given["ti"] = SimpleNamespace(**vars(given["ti"]), xcom_push=lambda key, value: None)
    return given


def test_a_run_waits_for_a_lake_without_a_slot_and_then_goes_on(local, tmp_path):
    task = local(
        f'[ "$1" = claim ] || exit 9; [ -e {tmp_path}/free ] || {{ echo "formcast: Run other." >&2; exit 75; }}'
    )
    with pytest.raises(TaskDeferred) as waits:
        task.execute(claiming())
    assert waits.value.trigger.serialize()[0].startswith("airflow.providers.standard.triggers.temporal.")
    since = waits.value.kwargs["since"]
    with pytest.raises(TaskDeferred) as waits:
        task.execute(claiming(), event=None, since=since)
    assert waits.value.kwargs["since"] == since
    (tmp_path / "free").touch()
    task.execute(claiming(), event=None, since=since)


def test_a_wait_that_is_too_long_fails_and_names_its_limit(local, monkeypatch):
    monkeypatch.setenv("FORMCAST_CLAIM_WAIT", "10m")
    task = local('echo "formcast: Run other has had the lake." >&2; exit 75')
    since = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    with pytest.raises(AirflowFailException, match=r"Run other has had the lake.*waited for 10m"):
        task.execute(claiming(), event=None, since=since)


@pytest.mark.parametrize(("max_tries", "redo"), [(2, None), (5, "3")])
def test_a_cleared_task_is_done_again_and_a_retry_is_not(local, tmp_path, max_tries, redo):
    """Clear gives a task its tries again, on top of those it has had."""
    local(f'echo "${{FORMCAST_REDO-none}}" > {tmp_path}/redo').execute(claiming(max_tries))
    assert (tmp_path / "redo").read_text().strip() == (redo or "none")


@pytest.mark.parametrize("engine", ["emr", "emr_serverless"])
def test_a_cleared_task_starts_a_job_of_its_own_after_the_old_one_has_ended(aws, task, engine):
    task("start_cluster", engine=engine).execute()
    before = task("train", engine=engine)
    before.execute()  # its job works
    cleared = task("train", engine=engine)
    cleared.context["ti"].max_tries = 3
    assert cleared.execute().method_name == "execute"  # the old job is cancelled, and waited for
    for job in (*aws.jobs, *aws.steps):
        job.update({"state": "CANCELLED"} if "state" in job else {"Status": {**job["Status"], "State": "CANCELLED"}})
    cleared.execute()
    started = [request for name, request in aws.sent if name in ("StartJobRun", "AddJobFlowSteps")]
    names = [request.get("name") or request["Steps"][0]["Name"] for request in started]
    assert [name.removeprefix("nightly_retrain.train manual__1") for name in names] == ["", " redo 1"]
