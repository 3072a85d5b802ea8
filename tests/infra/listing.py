"""What an account holds, as its services list it."""

from __future__ import annotations

import jmespath

from tests.infra.site import Site

# What lists what: service, call, and where the names are in its answer.
LISTS = [
    ("s3", "list_buckets", "Buckets[].Name"),
    ("kms", "list_aliases", "Aliases[].AliasName"),
    ("dynamodb", "list_tables", "TableNames"),
    ("sqs", "list_queues", "QueueUrls"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("kinesis", "list_streams", "StreamNames"),
    ("lambda", "list_functions", "Functions[].FunctionName"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings[].EventSourceArn"),
    ("ecr", "describe_repositories", "repositories[].repositoryName"),
    ("ecs", "list_task_definitions", "taskDefinitionArns"),
    ("elbv2", "describe_load_balancers", "LoadBalancers[].LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups[].TargetGroupName"),
    ("ec2", "describe_security_groups", "SecurityGroups[].GroupName"),
    ("ec2", "describe_subnets", "Subnets[].Tags[].join(' ', ['formcast', Key])"),
    ("iam", "list_roles", "Roles[].RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles[].InstanceProfileName"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    ("events", "list_rules", "Rules[].Name"),
    ("secretsmanager", "list_secrets", "SecretList[].Name"),
    ("rds", "describe_db_instances", "DBInstances[].DBInstanceIdentifier"),
    ("rds", "describe_db_subnet_groups", "DBSubnetGroups[].DBSubnetGroupName"),
    ("rds", "describe_db_parameter_groups", "DBParameterGroups[].DBParameterGroupName"),
    ("glue", "get_databases", "DatabaseList[].Name"),
    ("athena", "list_work_groups", "WorkGroups[].Name"),
    ("sagemaker", "list_models", "Models[].ModelName"),
    ("sagemaker", "list_endpoints", "Endpoints[].EndpointName"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs[].EndpointConfigName"),
]


def left_in(site: Site) -> list[str]:
    """Names of all that an account holds and Terraform may have made, as the services list it."""
    found = [
        str(name)
        for service, call, path in LISTS
        for name in jmespath.search(path, getattr(site.client(service), call)()) or []
    ]
    return sorted(name for name in found if "formcast" in name)
