"""What must be true of all that Terraform makes, read from plans: of `dev` as applied, of `prod` before it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.conftest import Deployed
from tests.infra.plans import Resource, as_list, there, to_be_made

Rule = Callable[[Resource], bool]
TLS = re.compile(r"ELBSecurityPolicy-TLS13-1-[23]-")
CLOSED = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
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


def _rules(protected: bool) -> dict[tuple[str, str], Rule]:
    """By type of resource and what is demanded of it. protected: whether nothing may be deleted by mistake."""
    return {
        ("aws_s3_bucket_public_access_block", "closed"): lambda it: all(it[name] for name in CLOSED),
        ("aws_s3_bucket_versioning", "on"): lambda it: it.block("versioning_configuration")["status"] == "Enabled",
        ("aws_s3_bucket_server_side_encryption_configuration", "by our key"): lambda it: (
            it.block("rule")["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "aws:kms"
        ),
        ("aws_s3_bucket_lifecycle_configuration", "old versions end"): lambda it: any(
            rule["noncurrent_version_expiration"] for rule in it["rule"]
        ),
        ("aws_s3_bucket_policy", "only TLS"): lambda it: "policy" in it.unknown or _only_tls(it, "s3:*"),
        ("aws_s3_bucket", "not emptied by mistake"): lambda it: it["force_destroy"] is not protected,
        ("aws_kms_key", "rotated"): lambda it: it["enable_key_rotation"],
        ("aws_dynamodb_table", "on demand"): lambda it: it["billing_mode"] == "PAY_PER_REQUEST",
        ("aws_dynamodb_table", "any point in time"): lambda it: it.block("point_in_time_recovery")["enabled"],
        ("aws_dynamodb_table", "encrypted"): lambda it: it.block("server_side_encryption")["enabled"],
        ("aws_dynamodb_table", "protected"): lambda it: it["deletion_protection_enabled"] is protected,
        ("aws_sqs_queue", "encrypted"): lambda it: it.has("kms_master_key_id"),
        ("aws_sqs_queue", "only TLS"): lambda it: _only_tls(it, "sqs:*"),
        ("aws_sqs_queue", "has dead letters, or is for them"): lambda it: (
            it.has("redrive_policy") or it["name"].endswith(("-dead", "-quarantine"))
        ),
        ("aws_sns_topic", "encrypted"): lambda it: it.has("kms_master_key_id"),
        ("aws_kinesis_stream", "encrypted"): lambda it: it["encryption_type"] == "KMS" and it.has("kms_key_id"),
        ("aws_lambda_function", "encrypted"): lambda it: it.has("kms_key_arn"),
        ("aws_lambda_event_source_mapping", "one bad event stops nothing"): lambda it: (
            it["function_response_types"] == ["ReportBatchItemFailures"]
            and it["bisect_batch_on_function_error"]
            and it["maximum_record_age_in_seconds"] > 0
            and bool(it["destination_config"])
        ),
        ("aws_cloudwatch_log_group", "ends, encrypted"): lambda it: (
            it["retention_in_days"] > 0 and it.has("kms_key_id")
        ),
        ("aws_secretsmanager_secret", "encrypted"): lambda it: it.has("kms_key_id"),
        ("aws_secretsmanager_secret_version", "in no plan"): lambda it: not it.has("secret_string"),
        ("aws_ecr_repository", "immutable, scanned"): lambda it: (
            it["image_tag_mutability"] == "IMMUTABLE" and it.block("image_scanning_configuration")["scan_on_push"]
        ),
        ("aws_lb", "inside, strict, protected"): lambda it: (
            it["internal"] and it["drop_invalid_header_fields"] and it["enable_deletion_protection"] is protected
        ),
        ("aws_lb_listener", "only TLS"): lambda it: (
            it["protocol"] == "HTTPS" and bool(TLS.match(it["ssl_policy"])) and it.has("certificate_arn")
        ),
        ("aws_ecs_service", "no public address"): lambda it: (
            not it.block("network_configuration")["assign_public_ip"]
        ),
        ("aws_ecs_service", "goes back by itself"): lambda it: it.block("deployment_circuit_breaker")["rollback"],
        ("aws_vpc_security_group_ingress_rule", "not from everywhere"): lambda it: it["cidr_ipv4"] != "0.0.0.0/0",
        ("aws_vpc_security_group_egress_rule", "everywhere by HTTPS alone"): lambda it: (
            it["cidr_ipv4"] != "0.0.0.0/0" or it["from_port"] == it["to_port"] == 443
        ),
        ("aws_db_instance", "encrypted, inside"): lambda it: (
            it["storage_encrypted"] and not it["publicly_accessible"]
        ),
        ("aws_db_instance", "protected"): lambda it: it["deletion_protection"] is protected,
        ("aws_db_instance", "two zones"): lambda it: bool(it["multi_az"]) is protected,
        ("aws_db_instance", "backed up"): lambda it: it["backup_retention_period"] > 0,
        ("aws_db_instance", "password in no plan"): lambda it: not it.has("password"),
        ("aws_emrserverless_application", "bounded"): lambda it: all(
            it.block("maximum_capacity").get(name) for name in ("cpu", "memory", "disk")
        ),
        ("aws_emrserverless_application", "stops"): lambda it: it.block("auto_stop_configuration")["enabled"],
        ("aws_emr_security_configuration", "IMDSv2"): lambda it: (
            "configuration" in it.unknown or '"MinimumInstanceMetadataServiceVersion":2' in it["configuration"]
        ),
        ("aws_athena_workgroup", "bounded, encrypted"): lambda it: (
            it.block("configuration")["enforce_workgroup_configuration"]
            and it.block("configuration")["bytes_scanned_cutoff_per_query"] > 0
            and bool(it.block("configuration")["result_configuration"][0]["encryption_configuration"])
        ),
        ("aws_sagemaker_endpoint_configuration", "encrypted"): lambda it: it.has("kms_key_arn"),
        ("aws_budgets_budget", "tells before and after"): lambda it: (
            {one["notification_type"] for one in it["notification"]} == {"ACTUAL", "FORECASTED"}
        ),
        ("aws_budgets_budget", "counts this environment"): lambda it: (
            it.block("cost_filter")["values"] == [f"user:Stack${it['name']}"]
        ),
        ("aws_cloudwatch_metric_alarm", "tells somebody, in words"): lambda it: (
            it.has("alarm_actions") and it.has("ok_actions") and it.has("alarm_description")
        ),
    }


@pytest.fixture(scope="module")
def environments(deployed: Deployed, planned: dict[str, Any]) -> dict[str, list[Resource]]:
    return {"dev": there(deployed.again) + to_be_made(deployed.whole), "prod": to_be_made(planned)}


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_every_resource_keeps_the_rules(environments: dict[str, list[Resource]], env: str) -> None:
    resources, rules = environments[env], _rules(protected=env == "prod")
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


def _only_tls(it: Resource, actions: str) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and as_list(statement["Action"]) == [actions]
        and statement["Principal"] in ("*", {"AWS": "*"})
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in it.document("policy")
    )
