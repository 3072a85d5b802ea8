"""What every test may ask for: one Spark session for the whole run, and an empty lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.edge.context import StepContext
from jobs.edge.session import start_spark
from jobs.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
