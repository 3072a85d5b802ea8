"""What every test may ask for: one Spark session for the whole run, an empty lake, and a stand-in for AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from jobs.edge.context import StepContext
from jobs.edge.places import _s3_filesystem
from jobs.edge.session import start_spark
from jobs.settings import Settings
from tests.aws_server import aws_server, empty, refuse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The same examples in every run, however slow the machine is: a test depends on neither luck nor time.
settings.register_profile("formcast", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("formcast")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The one session: a JVM takes seconds to start, and a second one would double the memory."""
    session = start_spark(Settings(driver_memory="2g"), "formcast tests")
    yield session
    session.stop()


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """The path of a lake that is not there yet."""
    return str(tmp_path / "lake")


@pytest.fixture
def new_context(lake: str, tmp_path: Path) -> Callable[..., StepContext]:
    """`new_context("train", run_id="r1", fit_fraction=1.0)`: a step's context on the test's lake.

    Its Spark is the shared session of the run, where the test asks for the `spark` fixture as well.
    """

    def new(step: str, run_id: str = "r1", **settings: object) -> StepContext:
        values = {"lake": lake, "logs": str(tmp_path / "logs"), "driver_memory": "2g"} | settings
        return StepContext(run_id, step, Settings(**values), datetime.now(UTC))

    return new


@pytest.fixture(scope="session")
def aws_address() -> Iterator[str]:
    """The address of one moto server, over HTTP, for the whole run. Ask for `aws`: it starts empty for each test."""
    with aws_server() as address:
        yield address


@pytest.fixture
def aws(aws_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an AWS account without anything in it; every boto3 client goes there, child processes' too."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_address)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    empty(aws_address)
    _s3_filesystem.cache_clear()  # of an account at another address, where another test has its own server
    yield aws_address
    _s3_filesystem.cache_clear()


@pytest.fixture
def aws_refuses(aws: str) -> Iterator[Callable[..., None]]:
    """`aws_refuses(403, "GET .*/models/")`: such requests fail from now on; `aws_refuses()`: none does any more."""
    yield partial(refuse, aws)
    refuse(aws)


@pytest.fixture
def dynamodb_table(aws: str) -> str:
    """The name of an empty table of published scores; that of streamed ones, `<name>-realtime`, stands beside it."""
    import boto3

    client = boto3.client("dynamodb")
    for name, keys in (("scores", {"form_id": "S", "seq": "N"}), ("scores-realtime", {"form_id": "S"})):
        kinds = zip(keys, ("HASH", "RANGE"), strict=False)
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_} for key, type_ in keys.items()],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in kinds],
            BillingMode="PAY_PER_REQUEST",
        )
    return "scores"
