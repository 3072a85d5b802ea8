"""What must be true of all that Terraform makes, read from plans: of `dev` as applied, of `prod` before it is."""

from __future__ import annotations

import json
import re

import pytest

from tests.infra.plans import Resource, as_list
from tests.infra.rules import rules_of

WITHOUT_TAGS = re.compile(
    r"aws_(appautoscaling_policy|athena_named|cloudwatch_(dashboard|event_target|log_resource_policy)|ec2_tag|ecr_lifecycle"
    r"|emr_security_configuration|glue_catalog_table|iam_role_policy|kms_alias|s3_bucket_|secretsmanager_secret_version"
    r"|sns_topic_(policy|subscription)|sqs_queue_policy)"
)
# Actions for which IAM knows no resource.
NOWHERE = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "elasticmapreduce:ListClusters",
    "elasticmapreduce:RunJobFlow",
    "logs:DescribeLogGroups",
    "s3:GetAccountPublicAccessBlock",
}


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_every_resource_keeps_the_rules(environments: dict[str, list[Resource]], env: str) -> None:
    resources, rules = environments[env], rules_of(protected=env == "prod")
    broken = [
        f"{it.address}: {what}"
        for (kind, what), rule in rules.items()
        for it in resources
        if it.type == kind and not rule(it)
    ]
    assert broken == []
    assert {kind for kind, _ in rules} - {it.type for it in resources} == set()


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_every_resource_is_named_and_tagged(environments: dict[str, list[Resource]], env: str) -> None:
    wanted = {"Project": "formcast", "Environment": env, "Stack": f"formcast-{env}", "ManagedBy": "terraform"}
    untagged = [
        it.address
        for it in environments[env]
        if not WITHOUT_TAGS.match(it.type) and "tags_all" in it.values
        if not wanted.items() <= (it["tags_all"] or {}).items()
        if it.type not in {"aws_kinesis_stream", "aws_appautoscaling_target", "aws_budgets_budget"} or env == "prod"
    ]
    assert untagged == []


@pytest.mark.parametrize("attribute", ["policy", "assume_role_policy"])
def test_no_policy_allows_a_star(environments: dict[str, list[Resource]], attribute: str) -> None:
    documents = [
        (it.address, statement)
        for it in environments["dev"]
        if it.type.startswith("aws_iam_")
        for statement in it.document(attribute)
        if statement["Effect"] == "Allow"
    ]
    starred = [
        f"{address}: {action}"
        for address, statement in documents
        for action in as_list(statement["Action"])
        if "*" in action or ("*" in as_list(statement.get("Resource", [])) and action not in NOWHERE)
    ]
    assert starred == []
    assert len(documents) > 10


def test_no_one_outside_may_assume_a_role(environments: dict[str, list[Resource]]) -> None:
    principals = {
        principal
        for it in environments["dev"]
        if it.type == "aws_iam_role"
        for statement in it.document("assume_role_policy")
        for principal in as_list(statement["Principal"]["Service"])
    }
    assert principals == {
        "ec2.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "elasticmapreduce.amazonaws.com",
        "emr-serverless.amazonaws.com",
        "lambda.amazonaws.com",
        "sagemaker.amazonaws.com",
    }


def test_containers_cannot_change_themselves(environments: dict[str, list[Resource]]) -> None:
    containers = [
        container
        for it in environments["dev"]
        if it.type == "aws_ecs_task_definition"
        for container in json.loads(it["container_definitions"])
    ]
    assert len(containers) > 8
    for container in containers:
        assert container["readonlyRootFilesystem"], container["name"]
        assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"], container["name"]
        assert container["logConfiguration"]["logDriver"] == "awslogs", container["name"]
        plain = {one["name"] for one in container.get("environment", [])}
        assert not {name for name in plain if re.search("PASSWORD$|SECRET$|KEY$", name)} - {"KEYS_SECRET"}


def test_prod_has_an_alarm_for_all_that_can_go_wrong(environments: dict[str, list[Resource]]) -> None:
    alarms = {it["alarm_name"] for it in environments["prod"] if it.type == "aws_cloudwatch_metric_alarm"}
    assert {name.removeprefix("formcast-prod-") for name in alarms} == {
        "api-down",
        "api-errors",
        "api-slow",
        "filled-quarantine",
        "filled-replies-dead",
        "filled-requests-dead",
        "night-missed",
        "requests-wait",
        "stream-errors",
        "stream-late",
        "throttled-scores",
        "throttled-scores-answers",
        "throttled-scores-realtime",
    }
