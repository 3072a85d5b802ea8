"""A stand-in for AWS to which Terraform can apply: moto over HTTP, with the calls of the provider that it lacks."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tests.aws_server import aws_server

# What moto takes and does not give back, or writes in another way: of these a second plan may speak, of nothing else.
FORGETS = {
    "aws_appautoscaling_target": {"tags_all"},
    "aws_budgets_budget": {"tags_all"},
    "aws_db_parameter_group": {"parameter"},
    "aws_ecs_service": {"availability_zone_rebalancing", "health_check_grace_period_seconds"},
    "aws_kinesis_stream": {"tags_all"},
    "aws_lambda_function": {"logging_config"},
    "aws_sagemaker_endpoint_configuration": {"data_capture_config"},
    "aws_vpc_security_group_egress_rule": {"description"},
    "aws_vpc_security_group_ingress_rule": {"description"},
}
ACCOUNT = "123456789012"


@contextmanager
def aws_stand_in() -> Iterator[str]:
    """The address of a server that is an AWS account without anything in it."""
    from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
    from moto.budgets.responses import BudgetsResponse

    added = (
        patch.object(ApplicationAutoScalingResponse, "list_tags_for_resource", _no_tags, create=True),
        patch.object(BudgetsResponse, "list_tags_for_resource", _no_tags, create=True),
        patch.object(BudgetsResponse, "describe_subscribers_for_notification", _subscribers, create=True),
        # EMR's own policies are AWS's; and a bucket's policy is applied without its conditions, so no zip gets in.
        patch.dict("os.environ", MOTO_IAM_LOAD_MANAGED_POLICIES="true", VALIDATE_LAMBDA_S3="false"),
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    for one in added:
        one.start()
    try:
        with aws_server() as address:
            yield address
    finally:
        for one in added:
            one.stop()


def environment_of(endpoint: str) -> dict[str, str]:
    """What leads any program of AWS's to the server, and nowhere else."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _no_tags(_response: Any) -> str:
    return json.dumps({"Tags": {}, "ResourceTags": []})


def _subscribers(response: Any) -> str:
    params = json.loads(response.body)
    budget = response.backend.budgets[params["AccountId"]][params["BudgetName"]]
    wanted = params["Notification"]["NotificationType"]
    found = [one.subscribers for one in budget.notifications if one.details["NotificationType"] == wanted]
    return json.dumps({"Subscribers": found[0] if found else []})
