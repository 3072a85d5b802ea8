"""A lake in S3 that cannot be read for now: its tables, what is published, and what the report leaves out.

The stand-in for AWS has its own process: delta-rs waits for it with Python's lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from jobs.commands.pin import generations, pin
from jobs.commands.show import show
from jobs.commands.stream import _live as new_live
from jobs.edge.context import StepContext
from jobs.edge.export_source import predictions_of
from jobs.edge.lineage import model_of, score_of_run
from jobs.edge.score_files import read_contents
from jobs.errors import FormcastError, MissingError
from jobs.report.facts import gather
from jobs.runner import run_step
from jobs.steps.publish import publish
from jobs.stream.sources import kinesis
from speed.errors import SpeedError, StoreMissingError
from speed.settings import ServeSettings
from tests.aws_server import aws_process
from tests.nights import scored

LAKE = "s3://lake/below"
PREDICTIONS = r"(GET|HEAD) .*/predictions/.*parquet"


@pytest.fixture(scope="module")
def aws_address() -> Iterator[str]:
    with aws_process() as address:
        yield address


@pytest.fixture
def context(aws: str, new_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch) -> StepContext:
    """A night on a lake in S3, up to score."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    monkeypatch.setenv("FORMCAST_LAKE", LAKE)
    scored(new_context, "r1", lake=LAKE)
    return new_context("publish", "r1", lake=LAKE)


def is_plain(error: BaseException) -> bool:
    """Whether it may be tried again: not "there is none", which no retry can help."""
    return isinstance(error, (FormcastError, SpeedError)) and not isinstance(error, (MissingError, StoreMissingError))


def test_tables_that_are_refused_are_not_those_that_maintenance_deleted(
    context: StepContext, aws_refuses: Callable[..., None]
) -> None:
    tables = context.tables
    version = tables.version("predictions").version
    calls: tuple[Callable[[], Any], ...] = (
        lambda: read_contents(tables, version),
        lambda: predictions_of(tables, "r1"),
    )
    for requests in (PREDICTIONS, r"(GET|HEAD) .*/predictions/_delta_log/.*json"):
        aws_refuses(403, requests)
        for call in calls:
            with pytest.raises((FormcastError, OSError)) as raised:
                call()
            assert not isinstance(raised.value, MissingError)
    aws_refuses()
    assert [call() is not None for call in calls] == [True, True]

    for file in tables.delta("predictions").file_uris():
        boto3.client("s3").delete_object(Bucket="lake", Key=file.removeprefix("s3://lake/"))
    for call in calls:
        with pytest.raises(MissingError, match="Maintenance deletes what is older"):
            call()


def test_a_report_says_what_it_could_not_read(context: StepContext, aws_refuses: Callable[..., None]) -> None:
    """The ledger of earlier versions does not name the model: the predictions do."""
    tables = context.tables
    entry = replace(score_of_run(tables, "r1"), details={})
    assert model_of(tables, entry) == "m-r1"
    assert gather(tables, "r1").live.model.version == "m-r1"

    aws_refuses(403, PREDICTIONS)
    with pytest.raises(OSError, match="lacked the necessary privileges"):
        model_of(tables, entry)
    facts = gather(tables, "r1")
    assert any(note.startswith("The predictions of run r1 cannot be read for now: ") for note in facts.notes)
    assert any("the model shown is the champion of today, m-r1" in note for note in facts.notes)


def test_a_publish_that_cannot_tell_what_is_live_is_done_by_its_retry(
    context: StepContext, aws_refuses: Callable[..., None]
) -> None:
    aws_refuses(403, "GET .*/serving/CURRENT")
    with pytest.raises(FormcastError, match="AccessDenied") as raised:
        run_step(publish, "publish", "r1", context.settings)
    assert is_plain(raised.value)
    aws_refuses()
    assert context.serving.live() is None
    run_step(publish, "publish", "r1", context.settings)
    live = context.serving.live()
    assert live is not None and live.run_id == "r1"

    aws_refuses(403, "GET .*/serving/.*manifest.json")
    for call in (context.serving.live, context.serving.answering, lambda: context.serving.prune(1)):
        with pytest.raises(FormcastError, match=r"AccessDenied.*Run the step again when that is fixed"):
            call()


def test_commands_say_that_it_cannot_be_read_and_not_that_there_is_none(
    context: StepContext, aws_refuses: Callable[..., None], tmp_path: Path
) -> None:
    settings = ServeSettings(lake=LAKE, cache=str(tmp_path), dynamodb_table="scores")
    calls: tuple[Callable[[], Any], ...] = (
        lambda: show("9", LAKE),
        lambda: new_live(settings),
        lambda: predictions_of(context.tables),
    )
    for call in calls:
        with pytest.raises(MissingError, match="Nothing is published yet"):
            call()
    run_step(publish, "publish", "r1", context.settings)
    calls = (*calls, lambda: generations(LAKE), lambda: pin("r1-v1", LAKE))
    aws_refuses(403, "GET .*serving")
    for call in calls:
        with pytest.raises((FormcastError, SpeedError), match="AccessDenied") as raised:
            call()
        assert is_plain(raised.value)


def test_a_kinesis_stream_that_is_refused_is_not_one_that_is_missing(
    aws: str, aws_refuses: Callable[..., None]
) -> None:
    spark: Any = None  # is not asked
    with pytest.raises(MissingError, match="'forms' cannot be read"):
        kinesis(spark, "forms")
    aws_refuses(403, "DescribeStreamSummary")
    with pytest.raises(FormcastError, match="'forms' cannot be read") as raised:
        kinesis(spark, "forms")
    assert is_plain(raised.value)
