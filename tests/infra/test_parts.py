"""What single parts may do, and what they are told, read from plans of `dev`: as applied, and as it could be next."""

from __future__ import annotations

import json

from tests.infra.plans import Resource, found, there, to_be_made, will_be
from tests.infra.site import ASKERS, Deployed
from tests.infra.stand_in import ACCOUNT


def test_what_jobs_and_airflow_run_is_not_for_jobs_to_change(environments: dict[str, list[Resource]]) -> None:
    job = found(environments["dev"], "emr.aws_iam_role_policy.job")
    lake = f"arn:aws:s3:::formcast-dev-lake-{ACCOUNT}/lake"
    assert job.says("Deny") == {
        (action, f"{lake}/{folder}/*")
        for action in ("s3:DeleteObject", "s3:PutObject")
        for folder in ("airflow", "code")
    }


def test_a_stream_on_spark_may_do_what_its_lambda_may(
    environments: dict[str, list[Resource]], deployed: Deployed
) -> None:
    """And where there is a Lambda, jobs do not read the stream."""
    function = found(environments["dev"], "stream.aws_iam_role_policy.this").says("Allow")
    needed = {one for one in function if one[0].startswith(("kinesis:", "dynamodb:", "kms:"))}
    jobs = [
        found(resources, "emr.aws_iam_role_policy.job").says("Allow")
        for resources in (there(deployed.again), will_be(deployed.whole))
    ]
    assert {action for action, _ in needed} >= {"kinesis:GetRecords", "dynamodb:PutItem", "kms:Decrypt"}
    assert needed <= jobs[1]
    assert "kinesis:GetRecords" not in {action for action, _ in jobs[0]}


def test_workers_may_answer_where_they_are_told_to(environments: dict[str, list[Resource]]) -> None:
    worker = found(environments["dev"], "queue.module.worker[0].aws_iam_role_policy.run")
    assert ("sqs:SendMessage", ASKERS) in worker.says("Allow")


def test_postgres_lets_in_all_on_which_an_export_runs(deployed: Deployed) -> None:
    """Steps on clusters run on the primary node."""
    rules = [it for it in to_be_made(deployed.whole) if it.type == "aws_vpc_security_group_ingress_rule"]
    assert {it["description"] for it in rules if "reporting" in it.address} == {"jobs", "primary", "clusters"}


def test_the_next_model_of_the_endpoint_has_a_name_of_its_own(deployed: Deployed) -> None:
    """It is made while the one before still serves, and AWS takes a name once."""
    now, then = (
        found(resources, "aws_sagemaker_model.this")["name"]
        for resources in (there(deployed.again), will_be(deployed.whole))
    )
    assert now.startswith("formcast-dev-")
    assert then.startswith("formcast-dev-")
    assert now != then


def test_jobs_of_others_in_the_account_are_not_counted(environments: dict[str, list[Resource]]) -> None:
    rules = [it for it in environments["dev"] if it.type == "aws_cloudwatch_event_rule"]
    details = [one["detail"] for it in rules for one in json.loads(it["event_pattern"])["$or"]]
    ours = [{"prefix": "formcast-dev "}]  # as FORMCAST_EMR_NAME has it
    assert details == [
        {"state": ["SUCCESS"], "applicationId": ["none"]},
        {"state": ["COMPLETED"], "name": ours},
        {"state": ["FAILED"], "applicationId": ["none"]},
        {"state": ["FAILED"], "name": ours},
    ]


def test_the_api_believes_its_load_balancer_alone(environments: dict[str, list[Resource]]) -> None:
    """Of who asks: an address in a header is whatever a client writes there."""
    task = found(environments["dev"], "serving.module.api[0].aws_ecs_task_definition.this")
    (api,) = [one for one in json.loads(task["container_definitions"]) if one["name"] == "api"]
    (believed,) = [one["value"] for one in api["environment"] if one["name"] == "FORWARDED_ALLOW_IPS"]
    assert set(believed.split(",")) == {"10.0.0.0/24", "10.0.1.0/24"}
