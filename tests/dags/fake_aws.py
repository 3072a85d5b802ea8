"""AWS for tests of the engines: real boto3 clients, checked by botocore's own models, that never leave the process.

moto cannot stand in here: its job runs succeed at once, its steps work for ever. Here
a test says what becomes of each.
"""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import SimpleNamespace

import boto3
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

READS = ("Get", "List", "Describe")


class FakeAws:
    """Keeps jobs, clusters and objects, and in `sent` what was asked for that changes something."""

    def __init__(self):
        self.sent = []
        self.jobs = []
        self.clusters = []
        self.steps = []
        self.objects = {}
        self.next_state = {"job": "RUNNING", "step": "RUNNING", "cluster": "STARTING"}
        self.clients = {name: self._client(name) for name in ("s3", "emr", "emr-serverless")}

    def names(self):
        return [name for name, _ in self.sent]

    def _client(self, service):
        client = boto3.client(service, region_name="eu-west-1", config=Config(signature_version=UNSIGNED))
        client.meta.events.register("before-parameter-build.*.*", self._keep)
        client.meta.events.register("before-call.*.*", self._answer)
        return client

    def _keep(self, params, model, context, **_):
        context["asked"] = params
        if not model.name.startswith(READS):
            self.sent.append((model.name, params))

    def _answer(self, model, context, **_):
        body = getattr(self, f"_{xform_name(model.name)}")(**context["asked"])
        return SimpleNamespace(status_code=200), {**(body or {}), "ResponseMetadata": {"HTTPStatusCode": 200}}

    # S3
    def _get_object(self, Bucket, Key, **_):
        text = self.objects.get(f"{Bucket}/{Key}")
        if text is None:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        return {"Body": StreamingBody(BytesIO(text.encode()), len(text)), "ETag": str(hash(text))}

    def _put_object(self, Bucket, Key, Body, IfMatch=None, IfNoneMatch=None):
        there = self.objects.get(f"{Bucket}/{Key}")
        if (IfNoneMatch and there is not None) or (IfMatch and str(hash(there)) != IfMatch):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": Key}}, "PutObject")
        text = self.objects[f"{Bucket}/{Key}"] = Body.read().decode()
        return {"ETag": str(hash(text))}

    def _list_objects_v2(self, Bucket, Prefix, **_):
        keys = [
            key.removeprefix(f"{Bucket}/") for key in sorted(self.objects) if key.startswith(f"{Bucket}/{Prefix}")
        ]
        return {"Contents": [{"Key": key, "Size": len(self.objects[f"{Bucket}/{key}"])} for key in keys]}

    # EMR Serverless
    def _start_job_run(self, clientToken, name, **_):
        known = [job for job in self.jobs if job["token"] == clientToken]
        if not known:
            number = len(self.jobs)
            made = datetime.now(UTC) + timedelta(milliseconds=number)
            job = {"id": f"job{number}", "name": name, "state": self.next_state["job"], "createdAt": made}
            known = [job | {"token": clientToken, "stateDetails": ""}]
            self.jobs += known
        return {"jobRunId": known[0]["id"]}

    def _list_job_runs(self, createdAtAfter, **_):
        # Newest first, as the service has it.
        return {"jobRuns": [job for job in reversed(self.jobs) if job["createdAt"] > createdAtAfter]}

    def _get_job_run(self, jobRunId, **_):
        return {"jobRun": next(job for job in self.jobs if job["id"] == jobRunId)}

    def _cancel_job_run(self, jobRunId, **_):
        next(job for job in self.jobs if job["id"] == jobRunId)["state"] = "CANCELLING"

    # EMR
    def _run_job_flow(self, Name, **_):
        cluster = {"Id": f"j-{len(self.clusters)}", "Name": Name, "LogUri": "s3n://logs/emr/"}
        self.clusters.append(cluster | {"Status": _status(self.next_state["cluster"])})
        return {"JobFlowId": cluster["Id"]}

    def _list_clusters(self, CreatedAfter, ClusterStates=None, **_):
        found = [one for one in self.clusters if ClusterStates is None or one["Status"]["State"] in ClusterStates]
        return {"Clusters": found}

    def _describe_cluster(self, ClusterId):
        return {"Cluster": next(found for found in self.clusters if found["Id"] == ClusterId)}

    def _terminate_job_flows(self, JobFlowIds):
        for cluster in self.clusters:
            if cluster["Id"] in JobFlowIds:
                cluster["Status"]["State"] = "TERMINATING"

    def _add_job_flow_steps(self, JobFlowId, Steps):
        step = {"Id": f"s-{len(self.steps)}", "Name": Steps[0]["Name"], "Status": _status(self.next_state["step"])}
        self.steps.append(step)
        return {"StepIds": [step["Id"]]}

    def _list_steps(self, ClusterId, **_):
        return {"Steps": list(reversed(self.steps))}

    def _describe_step(self, ClusterId, StepId):
        return {"Step": next(step for step in self.steps if step["Id"] == StepId)}

    def _cancel_steps(self, ClusterId, StepIds, StepCancellationOption):
        for step in self.steps:
            if step["Id"] in StepIds:
                step["Status"]["State"] = "CANCEL_PENDING"


def _status(state):
    return {"State": state, "Timeline": {"CreationDateTime": datetime.now(UTC)}}
