"""What EMR is asked for: the cluster of a run, and a step on it."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from engines.environment import required, split_list
from engines.s3 import S3Files

HOME = "/opt/formcast"
"""Where the bootstrap action unpacks the code, on every node."""

RELEASE = "emr-spark-8.1.0"
TYPES = "m7i.xlarge,m6i.xlarge,m6a.xlarge,m5.xlarge"
"""Four cores and 16 GB: one executor of spark_conf/aws.conf a node. Several, so that Spot finds a free one."""

CORE_NODES = 2
"""On demand, and never scaled: with one alone, no Spot free would mean that nothing is done."""

IDLE_SECONDS = 3 * 3600
"""A step may wait for the pool as long as the longest step of another run; `end_cluster` is the end that is meant."""

SPOT_MINUTES = 10


def cluster_request(name: str, executors: int, files: S3Files) -> dict[str, Any]:
    """The parameters of RunJobFlow. Raises AirflowFailException where a setting is missing or makes no sense."""
    code, logs, service_role, profile, subnets, groups, security = required(
        *("FORMCAST_CODE_URI", "FORMCAST_EMR_LOG_URI", "FORMCAST_EMR_SERVICE_ROLE", "FORMCAST_EMR_INSTANCE_PROFILE"),
        *("FORMCAST_EMR_SUBNET_IDS", "FORMCAST_EMR_SECURITY_GROUPS", "FORMCAST_EMR_SECURITY_CONFIGURATION"),
    )
    log4j = files.properties(f"{code}/spark_conf/log4j2_aws.properties", "=")
    return {
        "Name": name,
        "ReleaseLabel": os.environ.get("FORMCAST_EMR_RELEASE") or RELEASE,
        "Applications": [{"Name": "Hadoop"}, {"Name": "Spark"}],
        "LogUri": f"{logs}/",
        "ServiceRole": service_role,
        "JobFlowRole": profile,
        # Encryption of disks, and IMDSv2: only a security configuration can say so.
        "SecurityConfiguration": security,
        "Instances": _instances(split_list(subnets), split_list(groups), executors),
        "ManagedScalingPolicy": {
            "ComputeLimits": {
                "UnitType": "InstanceFleetUnits",
                "MinimumCapacityUnits": CORE_NODES,
                "MaximumCapacityUnits": CORE_NODES + executors,
                "MaximumOnDemandCapacityUnits": CORE_NODES,
                "MaximumCoreCapacityUnits": CORE_NODES,
            }
        },
        # The net below end_cluster: a cluster that nobody uses ends itself.
        "AutoTerminationPolicy": {"IdleTimeout": IDLE_SECONDS},
        "BootstrapActions": [
            {"Name": "unpack", "ScriptBootstrapAction": {"Path": f"{code}/unpack.sh", "Args": [code, HOME]}}
        ],
        "Configurations": [
            {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
            {"Classification": "spark-log4j2", "Properties": log4j},
        ],
        "StepConcurrencyLevel": 1,
        "Tags": [
            {"Key": "Name", "Value": "formcast"},
            # The managed policies of EMR's roles ask for it.
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
        ],
    }


def _instances(subnets: list[str], groups: list[str], executors: int) -> dict[str, Any]:
    if len(groups) != 3:
        raise AirflowFailException(
            "FORMCAST_EMR_SECURITY_GROUPS must be three groups with commas between: of the primary node, of the "
            "others, and of EMR's access to them."
        )
    types = split_list(os.environ.get("FORMCAST_EMR_INSTANCE_TYPES") or TYPES)
    configs = [{"InstanceType": name, "WeightedCapacity": 1} for name in types]
    on_demand = {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}}
    spot = {
        "AllocationStrategy": "price-capacity-optimized",
        "TimeoutDurationMinutes": SPOT_MINUTES,
        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
    }

    def fleet(role: str, launch: dict[str, Any], configs: list[dict[str, Any]], **target: int) -> dict[str, Any]:
        own = {"Name": role.lower(), "InstanceFleetType": role, "LaunchSpecifications": launch}
        return own | target | {"InstanceTypeConfigs": configs}

    return {
        "InstanceFleets": [
            fleet("MASTER", on_demand, [{"InstanceType": name} for name in types], TargetOnDemandCapacity=1),
            fleet("CORE", on_demand, configs, TargetOnDemandCapacity=CORE_NODES),
            fleet("TASK", {"SpotSpecification": spot} | on_demand, configs, TargetSpotCapacity=executors),
        ],
        "Ec2SubnetIds": subnets,
        "EmrManagedMasterSecurityGroup": groups[0],
        "EmrManagedSlaveSecurityGroup": groups[1],
        "ServiceAccessSecurityGroup": groups[2],
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
    }


def step_request(name: str, command: list[str], spark: dict[str, str], driver: dict[str, str]) -> dict[str, Any]:
    """A step of AddJobFlowSteps: spark-submit on the primary node, with settings in its environment.

    The driver runs there, not in YARN: steps that need no Spark would fail in YARN, which waits for a session.
    """
    python = f"{HOME}/environment/bin/python"
    conf = spark | {"spark.pyspark.python": python, "spark.pyspark.driver.python": python}
    submit = ["spark-submit", "--deploy-mode", "client"]
    for key, value in conf.items():
        submit += ["--conf", f"{key}={value}"]
    environment = [f"{key}={value}" for key, value in driver.items()]
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": ["env", *environment, *submit, f"{HOME}/entry.py", *command],
        },
    }
