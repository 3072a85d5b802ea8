"""The stand-in for AWS keeps what the code relies on: of writes on the same condition, one succeeds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

WRITERS, ROUNDS = 4, 20
LOST = {"PreconditionFailed", "ConditionalCheckFailedException", "TransactionCanceledException"}


@pytest.fixture
def s3(aws: str) -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    return client


@pytest.fixture(autouse=True)
def slow_writes(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Between a look and a write, others have time to come in; and threads take turns after microseconds."""
    put = S3Backend.put_object
    monkeypatch.setattr(S3Backend, "put_object", lambda *args, **how: (time.sleep(0.003), put(*args, **how))[1])
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def winners(write: Callable[[int], Any]) -> list[Any]:
    """What those got whose write succeeded, of WRITERS that write at once, each by its number."""
    start = threading.Barrier(WRITERS)

    def attempt(number: int) -> Any:
        start.wait()
        try:
            return write(number)
        except ClientError as error:
            assert error.response["Error"]["Code"] in LOST
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        return [answer for answer in pool.map(attempt, range(WRITERS)) if answer is not None]


def test_of_conditional_puts_at_once_one_succeeds(s3: Any) -> None:
    place: dict[str, Any] = {"Bucket": "lake", "Key": "_lease"}
    condition: dict[str, str] = {"IfNoneMatch": "*"}
    for turn in range(ROUNDS):
        request = place | condition
        answers = winners(
            lambda number, turn=turn, request=request: s3.put_object(**request, Body=f"{turn}-{number}")
        )
        assert len(answers) == 1
        condition = {"IfMatch": answers[0]["ETag"]}
        assert s3.head_object(**place)["ETag"] == answers[0]["ETag"]


def test_of_a_conditional_put_and_a_deletion_at_once_none_is_forgotten(s3: Any) -> None:
    """Whichever comes first, the object is gone: the put finds nothing to replace, or what it wrote is deleted."""
    for turn in range(ROUNDS):
        place: dict[str, Any] = {"Bucket": "lake", "Key": f"k-{turn}"}
        etag = s3.put_object(**place, Body="old")["ETag"]
        with ThreadPoolExecutor(2) as pool:
            pool.submit(s3.put_object, **place, Body="new", IfMatch=etag)
            pool.submit(s3.delete_object, **place)
        assert s3.list_objects_v2(Bucket="lake", Prefix=place["Key"])["KeyCount"] == 0


def test_of_conditional_uploads_in_parts_that_end_at_once_one_succeeds(s3: Any) -> None:
    for turn in range(ROUNDS):
        place: dict[str, Any] = {"Bucket": "lake", "Key": f"large-{turn}"}

        def upload(number: int, place: dict[str, Any] = place) -> dict[str, Any]:
            whole = place | {"UploadId": s3.create_multipart_upload(**place)["UploadId"]}
            part = s3.upload_part(**whole, PartNumber=1, Body=str(number))
            return whole | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}

        uploads = [upload(number) for number in range(WRITERS)]
        ended = winners(
            lambda number, uploads=uploads: s3.complete_multipart_upload(**uploads[number], IfNoneMatch="*")
        )
        assert len(ended) == 1


@pytest.mark.parametrize("kind", ["put", "update", "transaction"])
def test_of_conditional_writes_to_dynamodb_at_once_one_succeeds(kind: str, dynamodb_table: str) -> None:
    client = boto3.client("dynamodb")
    for turn in range(ROUNDS):
        place: dict[str, Any] = {"TableName": "scores-realtime"}
        key = {"form_id": {"S": f"f{turn}"}}
        new = {"ConditionExpression": "attribute_not_exists(form_id)"}

        def write(number: int, place: dict[str, Any] = place, key: Any = key, new: Any = new) -> Any:
            item = key | {"by": {"N": str(number)}}
            if kind == "put":
                return client.put_item(**place, Item=item, **new)
            if kind == "transaction":
                return client.transact_write_items(TransactItems=[{"Put": place | {"Item": item} | new}])
            values = {":by": item["by"]}
            return client.update_item(
                **place, Key=key, UpdateExpression="set who = :by", ExpressionAttributeValues=values, **new
            )

        assert len(winners(write)) == 1


def test_what_is_refused_fails_until_it_is_no_more(s3: Any, aws_refuses: Callable[..., None]) -> None:
    s3.put_object(Bucket="lake", Key="models/m", Body=b"m")
    aws_refuses(403, "GET /lake/models/")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket="lake", Key="models/m")
    assert s3.head_object(Bucket="lake", Key="models/m")["ContentLength"] == 1
    aws_refuses()
    assert s3.get_object(Bucket="lake", Key="models/m")["Body"].read() == b"m"
