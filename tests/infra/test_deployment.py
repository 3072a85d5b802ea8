"""`dev` is applied, does what programs need of it, is left alone by a second plan, and goes without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from speed.stores.dynamodb_index import DynamoIndex
from speed.stores.dynamodb_realtime import DynamoRealtime
from speed.stores.records import Entry
from speed.worker.dynamodb import DynamoMemory
from speed.worker.memory import Kept
from speed.worker.queues import RequestQueue, client
from tests.infra.hcl import INFRA
from tests.infra.listing import left_in
from tests.infra.plans import to_be_made
from tests.infra.site import Deployed, Site
from tests.infra.stand_in import ACCOUNT, FORGETS
from tests.infra.terraform import TerraformError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ENTRY = Entry(
    form_id="1",
    event_id="e",
    observed_at=NOW,
    scored_at=NOW,
    predicted_rate=0.5,
    lower=None,
    upper=None,
    completion_rate=None,
    views=3,
    model_version="v",
    generation="g",
    features=b"",
)
KEPT = Kept("42", b"of", "{}")


def test_files_are_formatted_and_valid(deployed: Deployed) -> None:
    deployed.terraform.run("fmt", "-check", "-recursive", str(INFRA))
    deployed.terraform.run("validate")


def test_mistakes_are_told_before_anything_is_made(deployed: Deployed, site: Site) -> None:
    api = site.values["api"] | {"certificate_arn": "none", "airflow_cidrs": ["0.0.0.0/0"], "internal": False}
    network = site.values["network"] | {"subnet_ids": ["subnet-1", "subnet-1"]}
    wrong = {"api": api, "network": network, "image": "formcast:latest", "input_arns": ["arn:aws:s3:::dumps"]}
    wrong |= {"airflow": {"kind": "fargate"}, "reply_queue_arns": ["*"]}
    with pytest.raises(TerraformError) as told:
        deployed.terraform.plan(site.values | wrong)
    said = " ".join(str(told.value).replace("│", " ").split())
    for sentence in (
        "the API speaks HTTPS only",
        "Airflow is not for everybody",
        "An API that is reached from outside needs public subnets",
        "two private subnets or more",
        "The image is named by its digest",
        "input_arns name objects of one bucket each",
        "reply_queue_arns name queues",
    ):
        assert sentence in said


def test_the_first_apply_needs_neither_code_nor_image(deployed: Deployed) -> None:
    """They can be put only where it has made a bucket and a repository."""
    made = {it.type for it in to_be_made(deployed.first)}
    assert made >= {"aws_s3_bucket", "aws_ecr_repository", "aws_dynamodb_table", "aws_sqs_queue", "aws_lb"}
    assert made.isdisjoint({"aws_ecs_service", "aws_lambda_function", "aws_sagemaker_endpoint", "aws_db_instance"})


def test_a_second_plan_changes_nothing(deployed: Deployed) -> None:
    changed = {
        f"{one['address']}: {name}"
        for one in deployed.again["resource_changes"]
        if one["change"]["actions"] not in (["no-op"], ["read"])
        for name in _differences(one["change"])
        if name not in FORGETS.get(one["type"], set())
    }
    assert changed == set()


def test_outputs_are_the_environment_of_the_programs(deployed: Deployed) -> None:
    outputs = deployed.outputs
    lake = f"s3://formcast-dev-lake-{ACCOUNT}/lake"
    environment = outputs["environment"]
    assert len(environment.pop("FORMCAST_EMR_SECURITY_GROUPS").split(",")) == 3
    assert len(environment.pop("FORMCAST_EMR_SUBNET_IDS").split(",")) == 2
    assert environment == {
        "FORMCAST_CODE_URI": f"{lake}/code/0.1.0",
        "FORMCAST_DYNAMODB_TABLE": "formcast-dev-scores",
        "FORMCAST_EMR_INSTANCE_PROFILE": "formcast-dev-job",
        "FORMCAST_EMR_JOB_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/formcast-dev-job",
        "FORMCAST_EMR_LOG_URI": f"{lake}/logs/emr",
        "FORMCAST_EMR_NAME": "formcast-dev",
        "FORMCAST_EMR_SECURITY_CONFIGURATION": "formcast-dev",
        "FORMCAST_EMR_SERVICE_ROLE": "formcast-dev-cluster",
        "FORMCAST_ENGINE": "emr",
        "FORMCAST_LAKE": lake,
    }
    assert outputs["airflow"]["url"] == "https://scores.example.com:8443"


def test_the_stores_and_queues_work_with_what_was_made(
    deployed: Deployed, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of tables, the names beside a name, and the queues' addresses, as the programs have them."""
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    given = deployed.outputs["worker_environment"]
    index = DynamoIndex(given["FORMCAST_DYNAMODB_TABLE"])
    realtime = DynamoRealtime(given["FORMCAST_DYNAMODB_TABLE"])
    memory = DynamoMemory(given["FORMCAST_DYNAMODB_TABLE"], 60)
    queue = RequestQueue(client("sqs", 1), given["FORMCAST_REQUEST_QUEUE"], given["FORMCAST_DEAD_LETTER_QUEUE"], 60)

    assert index.pointers() == {}
    assert realtime.put([ENTRY, ENTRY]) == 1
    assert realtime.get("1") == ENTRY
    assert memory.keep([KEPT])["42"].text == memory.get_many(["42"])["42"].text == "{}"
    site.client("sqs").send_message(QueueUrl=given["FORMCAST_REQUEST_QUEUE"], MessageBody="{}")
    assert [message.body for message in queue.receive(wait=0)] == ["{}"]


def test_the_keys_of_the_api_follow_their_secret(deployed: Deployed, site: Site, tmp_path: Path) -> None:
    """The program that stands beside the API in its task, as the task runs it."""
    secret, file = deployed.outputs["api_keys_secret_arn"], tmp_path / "keys" / "keys.json"
    program = INFRA / "modules" / "serving" / "follow_keys.py"
    code = program.read_text(encoding="utf-8").replace("SECONDS = 15", "SECONDS = 0.1")
    env = os.environ | site.environment | {"FORMCAST_KEYS_FILE": str(file), "KEYS_SECRET": secret}
    with subprocess.Popen([sys.executable, "-c", code], env=env) as running:
        try:
            assert _content(file, "[]")
            site.client("secretsmanager").put_secret_value(SecretId=secret, SecretString='[{"id": "ab"}]')
            assert _content(file, '[{"id": "ab"}]')
        finally:
            running.terminate()


def test_destroy_leaves_nothing(deployed: Deployed, site: Site) -> None:
    assert len(left_in(site)) > 20
    deployed.terraform.destroy()
    left = ", ".join(left_in(site))
    assert left == ""


def _differences(change: dict[str, Any]) -> set[str]:
    """Attributes with another value than before. JSON is compared by what it says; empty is as good as nothing.

    What follows from a change somewhere else is not known yet: it is for that change to be told.
    """
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, value in change["after_unknown"].items() if _said(value)}
    known = (before.keys() | after.keys()) - unknown
    return {name for name in known if _said(before.get(name)) != _said(after.get(name))}


def _said(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("{", "[")):
        return json.loads(value)
    if isinstance(value, dict):
        return {name: said for name, one in value.items() if (said := _said(one))} or None
    if isinstance(value, list):
        return [said for one in value if (said := _said(one))] or None
    return value or None


def _content(file: Path, wanted: str) -> bool:
    """Whether the file says so within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.is_file() and file.read_text(encoding="utf-8") == wanted:
            return True
        time.sleep(0.05)
    return False
