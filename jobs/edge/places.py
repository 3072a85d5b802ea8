"""Where things are: a folder of this machine or a prefix in S3, and the file system that reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

from jobs.errors import FormcastError

S3 = "s3://"


def in_s3(place: str) -> bool:
    return place.startswith(S3)


def filesystem_of(place: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder or an `s3://` prefix, and its path there. S3 is found as boto3 finds it."""
    if in_s3(place):
        return _s3_filesystem(), place.removeprefix(S3).rstrip("/")
    return fs.LocalFileSystem(), str(Path(place).absolute())


@cache
def _s3_filesystem() -> fs.FileSystem:
    """Made when it is first needed: no process that works on a folder waits for it."""
    endpoint = s3_endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not endpoint:
        return fs.S3FileSystem(region=region, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=10))
    parts = urlsplit(endpoint)
    return fs.S3FileSystem(
        endpoint_override=parts.netloc,
        scheme=parts.scheme,
        region=region or "us-east-1",
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=10),
    )


def s3_endpoint() -> str:
    """Where S3 is, when it is not Amazon's: as boto3 reads it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Raise what a file system says of `what` as a FormcastError; a file that is missing stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if what.startswith("file:"):
            raise
        raise FormcastError(f"{what} cannot be used: {error}") from error
