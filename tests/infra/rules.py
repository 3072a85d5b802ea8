"""What is demanded of resources, by their type: closed, encrypted, bounded, kept, and told of."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.infra.plans import Resource, as_list

Rule = Callable[[Resource], bool]
TLS = re.compile(r"ELBSecurityPolicy-TLS13-1-[23]-")
CLOSED = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")


def rules_of(protected: bool) -> dict[tuple[str, str], Rule]:
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
        ("aws_kinesis_stream", "kept for a day after a day of tries"): lambda it: it["retention_period"] >= 48,
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


def _only_tls(it: Resource, actions: str) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and as_list(statement["Action"]) == [actions]
        and statement["Principal"] in ("*", {"AWS": "*"})
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in it.document("policy")
    )
