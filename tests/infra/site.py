"""What the tests of infra/ work on: an account before Terraform comes, and `dev` in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3

from tests.infra.stand_in import ACCOUNT, environment_of
from tests.infra.terraform import Terraform

REGION = "eu-west-1"
ASKERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:askers"
"""A queue of somebody's, to which workers may answer."""


def image(number: int) -> str:
    """The image that was pushed at that number."""
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/formcast@sha256:{number:064x}"


@dataclass(frozen=True)
class Site:
    """What an account has before Terraform comes, as variables of an environment."""

    endpoint: str
    values: dict[str, Any]

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **keys)

    @property
    def environment(self) -> dict[str, str]:
        """What leads any program of AWS's here, and nowhere else."""
        return environment_of(self.endpoint) | {"AWS_DEFAULT_REGION": REGION}


@dataclass(frozen=True)
class Deployed:
    """`dev` with all that moto supports.

    first: the plan of an account that has no code and no image yet. again: the plan right after all was applied.
    whole: that with what moto does not support as well, the next image, and a stream that Spark reads.
    """

    terraform: Terraform
    first: dict[str, Any]
    outputs: dict[str, Any]
    again: dict[str, Any]
    whole: dict[str, Any]
