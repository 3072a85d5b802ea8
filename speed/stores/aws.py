"""Clients of AWS for the stores, and what their errors mean in plain sentences."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from speed.errors import StoreError, ThrottledError

THREADS = 16
"""Requests that a store has under way at once: DynamoDB answers one in milliseconds, whatever others wait for."""
ROUNDS = 10
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "ThrottlingException",
    "TooManyRequestsException",
}
_MISSING = {"NoSuchBucket", "ResourceNotFoundException"}


def aws_client(service: str, *, patient: bool = False) -> Any:
    """A boto3 client that many threads may share. Endpoint, region and credentials are found as boto3 finds them.

    patient: for the work of a night, which waits out a throttled table by minutes; whoever answers a request must
    rather say soon that it cannot. Raises StoreError where no region is known.
    """
    waits: Any = {"mode": "adaptive", "total_max_attempts": 10} if patient else {"total_max_attempts": 2}
    config = Config(
        connect_timeout=10 if patient else 1,
        read_timeout=60 if patient else 3,
        retries={"mode": "standard"} | waits,
        max_pool_connections=THREADS,
        tcp_keepalive=True,
    )
    with plain_errors(f"AWS ({service})"):
        return boto3.client(service, config=config)


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Raise what botocore says of `what` as ThrottledError or StoreError."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _THROTTLED:
            raise ThrottledError(f"{what} takes no more requests for now ({code}): try again later.") from error
        if code in _MISSING:
            raise StoreError(f"{what} is not there: create it, or correct the setting that names it.") from error
        raise StoreError(f"{what} cannot be used: {error}.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreError(f"{what} cannot be reached: {error}.") from error


def until_processed(send: Callable[[Any], Any], request: Any, what: str, *, pause: float = 0.05) -> None:
    """Call `send` with the request, then with what it answers to be unprocessed, until nothing is.

    Waits between the rounds double from `pause` seconds, at random so that many clients do not come back at once.
    Raises ThrottledError after ROUNDS rounds.
    """
    for _ in range(ROUNDS):
        request = send(request)
        if not request:
            return
        time.sleep(random.uniform(0, pause))  # noqa: S311 - no secret hangs on it
        pause *= 2
    raise ThrottledError(f"{what} leaves requests unprocessed after {ROUNDS} tries: try again later.")
