"""The engine `emr`: the cluster of a run and the steps on it."""

from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

ENGINE = {"engine": "emr"}
MINUTE = timedelta(minutes=1)
TYPES = ["m7i.xlarge", "m6i.xlarge", "m6a.xlarge", "m5.xlarge"]


@pytest.fixture
def start(aws, task):
    return task("start_cluster", **ENGINE)


@pytest.fixture
def train(aws, task):
    """The step `train` on a cluster that works."""
    aws.next_state["cluster"] = "WAITING"
    task("start_cluster", **ENGINE).execute()
    aws.sent.clear()
    return task("train", **ENGINE)


def waiting_for(deferred):
    kept = deferred.trigger.serialize()[1]
    return [kept["job_flow_id"], *kept.get("step_ids", ())]


def told_by(aws):
    """Where the step that was added last leaves its status."""
    words = aws.sent[-1][1]["Steps"][0]["HadoopJarStep"]["Args"]
    return next(word.removeprefix("FORMCAST_LOGS=") for word in words if word.startswith("FORMCAST_LOGS="))


def test_cluster_is_asked_for_with_exactly_these_parameters(aws, start):
    start.execute()

    weighted = [{"InstanceType": name, "WeightedCapacity": 1} for name in TYPES]
    on_demand = {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}}
    spot = {
        "AllocationStrategy": "price-capacity-optimized",
        "TimeoutDurationMinutes": 10,
        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
    }
    fleets = [
        {
            "Name": "master",
            "InstanceFleetType": "MASTER",
            "LaunchSpecifications": on_demand,
            "TargetOnDemandCapacity": 1,
            "InstanceTypeConfigs": [{"InstanceType": name} for name in TYPES],
        },
        {
            "Name": "core",
            "InstanceFleetType": "CORE",
            "LaunchSpecifications": on_demand,
            "TargetOnDemandCapacity": 2,
            "InstanceTypeConfigs": weighted,
        },
        {
            "Name": "task",
            "InstanceFleetType": "TASK",
            "LaunchSpecifications": {"SpotSpecification": spot, **on_demand},
            "TargetSpotCapacity": 1,
            "InstanceTypeConfigs": weighted,
        },
    ]
    [(name, asked)] = aws.sent
    assert name == "RunJobFlow"
    assert asked == {
        "Name": "nightly_retrain manual__1",
        "ReleaseLabel": "emr-spark-8.1.0",
        "Applications": [{"Name": "Hadoop"}, {"Name": "Spark"}],
        "LogUri": "s3://logs/emr/",
        "ServiceRole": "emr-service",
        "JobFlowRole": "emr-node",
        "SecurityConfiguration": "formcast",
        "Instances": {
            "InstanceFleets": fleets,
            "Ec2SubnetIds": ["subnet-a", "subnet-b"],
            "EmrManagedMasterSecurityGroup": "sg-primary",
            "EmrManagedSlaveSecurityGroup": "sg-others",
            "ServiceAccessSecurityGroup": "sg-access",
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
        },
        "ManagedScalingPolicy": {
            "ComputeLimits": {
                "UnitType": "InstanceFleetUnits",
                "MinimumCapacityUnits": 2,
                "MaximumCapacityUnits": 3,
                "MaximumOnDemandCapacityUnits": 2,
                "MaximumCoreCapacityUnits": 2,
            }
        },
        "AutoTerminationPolicy": {"IdleTimeout": 10_800},
        "BootstrapActions": [
            {
                "Name": "unpack",
                "ScriptBootstrapAction": {
                    "Path": "s3://lake/code/1a2b/unpack.sh",
                    "Args": ["s3://lake/code/1a2b", "/opt/formcast"],
                },
            }
        ],
        "Configurations": [
            {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
            {"Classification": "spark-log4j2", "Properties": {"rootLogger.level": "warn"}},
        ],
        "StepConcurrencyLevel": 1,
        "Tags": [
            {"Key": "Name", "Value": "formcast"},
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
        ],
    }


def test_retry_of_start_cluster_takes_up_the_one_that_comes_up(aws, start):
    waits = start.execute()
    assert waiting_for(start.execute()) == waiting_for(waits) == ["j-0"]
    aws.clusters[0]["Status"]["State"] = "WAITING"
    assert start.resume(waits) is None
    assert start.execute() is None
    assert aws.names() == ["RunJobFlow"]


def test_cluster_that_did_not_come_up_is_made_anew_by_a_retry(aws, start):
    waits = start.execute()
    aws.clusters[0]["Status"] |= {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": {"Message": "no capacity"}}
    with pytest.raises(AirflowException, match="Cluster j-0 did not come up: no capacity"):
        start.resume(waits)
    assert waiting_for(start.execute()) == ["j-1"]


def test_cluster_that_comes_up_for_too_long_is_ended(aws, start):
    waits = start.execute()
    aws.clusters[0]["Status"]["Timeline"]["CreationDateTime"] -= 26 * MINUTE
    with pytest.raises(AirflowException, match="did not come up in 25 minutes: it was ended"):
        start.resume(waits)
    assert aws.sent[-1] == ("TerminateJobFlows", {"JobFlowIds": ["j-0"]})


def test_end_cluster_ends_all_of_its_run_and_no_other(aws, task, start):
    other = task("start_cluster", **ENGINE)
    other.context["ti"].run_id = "manual__2"
    other.execute()
    start.execute()
    aws.clusters.append(aws.clusters[1] | {"Id": "j-twin"})

    end = task("end_cluster", **ENGINE)
    assert (end.execute(), end.execute()) == (None, None)
    assert [sent for sent in aws.sent if sent[0] == "TerminateJobFlows"] == [
        ("TerminateJobFlows", {"JobFlowIds": ["j-1", "j-twin"]})
    ]


def test_step_is_asked_for_with_exactly_these_parameters(aws, train):
    train.execute()

    told = told_by(aws)
    driver = {
        "FORMCAST_AS_OF": "2026-03-04T02:00:00+00:00",
        "FORMCAST_CLAIM_WAIT": "0",
        "FORMCAST_INPUT": "s3://dumps/2026-03-04/",
        "FORMCAST_LAKE": "s3://lake/forms/",
        "FORMCAST_MODE": "increment",
        "FORMCAST_RUN_ID": "manual__1",
        "FORMCAST_ENGINE": "emr",
        "FORMCAST_LOGS": told,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    python = "/opt/formcast/environment/bin/python"
    spark = {
        "spark.jars": "/delta.jar",
        "spark.x": "-Da=b -Dc=d",
        "spark.only": "emr",
        "spark.dynamicAllocation.initialExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "1",
        "spark.default.parallelism": "4",
        "spark.sql.shuffle.partitions": "8",
        "spark.executorEnv.AWS_REGION": "eu-west-1",
        "spark.executorEnv.AWS_DEFAULT_REGION": "eu-west-1",
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": python,
    }
    conf = [word for name, value in spark.items() for word in ("--conf", f"{name}={value}")]
    environment = [f"{name}={value}" for name, value in driver.items()]
    submit = ["env", *environment, "spark-submit", "--deploy-mode", "client", *conf]
    step = {
        "Name": "nightly_retrain.train manual__1",
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": [*submit, "/opt/formcast/entry.py", "step", "train"]},
    }
    assert aws.sent == [("AddJobFlowSteps", {"JobFlowId": "j-0", "Steps": [step]})]
    assert told.startswith("s3://lake/forms/logs/steps/")


def test_step_waits_in_the_triggerer_as_long_as_it_may_take(aws, train):
    path, kept = train.execute().trigger.serialize()
    assert path == "airflow.providers.amazon.aws.triggers.emr.EmrAddStepsTrigger"
    expected = {"job_flow_id": "j-0", "step_ids": ["s-0"], "waiter_delay": 30, "waiter_max_attempts": 240}
    assert kept == expected | {"aws_conn_id": "aws_default"}
    assert train.links[0].endswith("/s3/buckets/logs/emr?region=eu-west-1&prefix=j-0/")


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETED"])
def test_retry_takes_up_a_step_that_works_or_has_succeeded(aws, train, state):
    train.execute()
    aws.steps[0]["Status"]["State"] = state
    waits = train.execute()
    assert aws.names() == ["AddJobFlowSteps"]
    assert (waits is None) == (state == "COMPLETED")


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_after_a_step_that_failed_a_retry_adds_another(aws, train, state):
    train.execute()
    first = told_by(aws)
    aws.steps[0]["Status"]["State"] = state
    assert waiting_for(train.execute()) == ["j-0", "s-1"]
    assert told_by(aws) != first


def test_step_that_is_being_cancelled_is_waited_for(aws, train):
    train.execute()
    aws.steps[0]["Status"]["State"] = "CANCEL_PENDING"
    waits = train.execute()
    assert (waiting_for(waits), waits.method_name) == (["j-0", "s-0"], "execute")
    aws.steps[0]["Status"]["State"] = "CANCELLED"
    assert waiting_for(train.resume(waits)) == ["j-0", "s-1"]


def test_what_the_step_says_decides_whether_a_retry_can_help(aws, train):
    waits = train.execute()
    aws.steps[0]["Status"] |= {"State": "FAILED", "FailureDetails": {"Reason": "Unknown Error."}}
    with pytest.raises(AirflowException, match=r"exit code 1: Unknown Error \(step s-0\)") as raised:
        train.resume(waits)
    assert not isinstance(raised.value, AirflowFailException)

    told = told_by(aws).removeprefix("s3://")
    aws.objects[f"{told}/manual-1/train.status.json"] = '{"status": "failed", "exit_code": 4, "message": "No table."}'
    with pytest.raises(AirflowFailException, match=r"^Step train ended with exit code 4: No table.$"):
        train.resume(waits)


def test_step_without_a_cluster_says_what_to_clear(aws, train):
    aws.clusters[0]["Status"]["State"] = "TERMINATED"
    with pytest.raises(AirflowFailException, match=r"the cluster of this run has ended\. Clear this task with"):
        train.execute()


def test_killed_or_late_step_is_cancelled(aws, train):
    cancelled = {"ClusterId": "j-0", "StepIds": ["s-0"], "StepCancellationOption": "TERMINATE_PROCESS"}
    waits = train.execute()
    train.operator.on_kill()
    assert aws.sent[-1] == ("CancelSteps", cancelled)

    aws.steps[0]["Status"] |= {"State": "RUNNING"}
    aws.steps[0]["Status"]["Timeline"]["CreationDateTime"] -= 121 * MINUTE
    aws.sent.clear()
    with pytest.raises(AirflowException, match="took over 120 minutes: it was cancelled"):
        train.resume(waits)
    assert aws.sent == [("CancelSteps", cancelled)]
