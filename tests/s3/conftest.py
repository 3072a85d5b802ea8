"""The stand-in for AWS in its own process: delta-rs waits for S3 with Python's lock held, which threads need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws_server import aws_process


@pytest.fixture(scope="session")
def aws_address() -> Iterator[str]:
    with aws_process() as address:
        yield address
