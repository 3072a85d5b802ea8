"""Both environments on a stand-in for AWS: `dev` is applied, `prod` is planned, once for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.plans import Resource, there, to_be_made
from tests.infra.site import ASKERS, REGION, Deployed, Site, image
from tests.infra.stand_in import aws_stand_in
from tests.infra.terraform import Terraform, TerraformError


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with aws_stand_in() as endpoint:
        bare = Site(endpoint, {})
        ec2, acm = bare.client("ec2"), bare.client("acm")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{at}.0/24", AvailabilityZone=f"{REGION}{zone}")
            for at, zone in enumerate("ab")
        ]
        yield Site(
            endpoint,
            {
                "region": REGION,
                "network": {"vpc_id": vpc, "subnet_ids": [one["Subnet"]["SubnetId"] for one in subnets]},
                "api": {
                    "certificate_arn": acm.request_certificate(DomainName="scores.example.com")["CertificateArn"],
                    "host": "scores.example.com",
                    "allowed_cidrs": ["10.0.0.0/8"],
                    "airflow_cidrs": ["10.0.0.0/16"],
                },
                "alarms": {"emails": ["oncall@example.com"], "budget_usd": 300},
            },
        )


@pytest.fixture(scope="session")
def running(site: Site) -> dict[str, Any]:
    """Variables of an environment in which all that can run does, once image and code are there."""
    switches = dict.fromkeys(("postgres", "sagemaker"), True)
    return site.values | {"image": image(0), "code_version": "0.1.0", "reply_queue_arns": [ASKERS]} | switches


@pytest.fixture(scope="session")
def deployed(site: Site, running: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    terraform = _environment(site, "dev", tmp_path_factory)
    # moto makes no application of EMR Serverless and no environment of MWAA: those are planned. Of databases it tells
    # one from another no more than by name, which is not enough for the provider: that of Airflow is the one made.
    airflow = {"kind": "fargate", "image": "apache/airflow:3.3.2"}
    values = running | {"emr_serverless": False, "postgres": False, "airflow": airflow}
    first = terraform.plan(site.values)
    outputs = terraform.apply(values)
    again = terraform.plan(values)
    whole = terraform.plan(
        values | {"emr_serverless": True, "postgres": True, "image": image(1), "stream_lambda": False}
    )
    return Deployed(terraform, first, outputs["formcast"], again, whole)


@pytest.fixture(scope="session")
def planned(site: Site, running: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plan of a `prod` that is not there yet."""
    return _environment(site, "prod", tmp_path_factory).plan(running | {"airflow": {"kind": "mwaa"}})


@pytest.fixture(scope="session")
def environments(deployed: Deployed, planned: dict[str, Any]) -> dict[str, list[Resource]]:
    """What is in `dev`, with that which moto does not support, and in `prod`."""
    return {"dev": there(deployed.again) + to_be_made(deployed.whole), "prod": to_be_made(planned)}


def _environment(site: Site, env: str, folders: pytest.TempPathFactory) -> Terraform:
    try:
        return Terraform(folders.mktemp(env) / "infra", env, site.endpoint)
    except TerraformError as error:
        pytest.exit(str(error), returncode=4)
