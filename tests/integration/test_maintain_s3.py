"""maintain and rollback on a lake in S3, where a folder is but a prefix and the time of a file is S3's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
import pytest

from jobs.edge.models import REFUSED
from jobs.edge.places import _s3_filesystem
from jobs.runner import run_step
from jobs.steps.maintain import maintain
from jobs.steps.rollback import rollback
from tests.aws_server import aws_process
from tests.nights import NewContext, night


@pytest.fixture(scope="module")
def aws_address() -> Iterator[str]:
    with aws_process() as address:
        yield address


@pytest.fixture
def new(aws: str, new_context: NewContext) -> NewContext:
    assert aws
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    _s3_filesystem.cache_clear()
    return partial(new_context, lake="s3://lake/below")


def test_models_go_and_a_rollback_that_was_cut_off_is_finished(new: NewContext) -> None:
    night(new, "r1")
    night(new, "r2")
    context = new("x")
    models, month_ago = context.models, datetime.now(UTC) - timedelta(days=40)
    models.save([replace(model, created_at=month_ago) for model in models.all()])
    models.save([replace(models.get("m-r1"), version="refused", state=REFUSED)])
    for file in ("model.onnx", "manifest.json"):
        models.files.write(f"models/refused/{file}", b"{}")

    assert run_step(maintain, "maintain", "maintain", context.settings).counts["models_deleted"] == 1
    assert set(models.files.folders("models")) == {"m-r1", "m-r2"}

    models.files.write("serving/ROLLBACK", b"r1")  # as an earlier version wrote it
    intent = context.serving.unfinished_rollback()
    assert intent is not None and intent.at is not None
    assert intent.run_id == "r1"
    run_step(partial(rollback, to="r1"), "rollback", "back", context.settings)
    assert context.serving.unfinished_rollback() is None
    live = context.serving.live()
    assert live is not None and live.run_id == "r1"
