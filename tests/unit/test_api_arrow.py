"""Arrow streams from outside: what they say of their own memory is not believed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from speed.api.arrow import read_arrow
from speed.api.problems import ProblemError
from speed.contract import FEATURES
from tests.unit.test_api_answers import arrow_stream

ROOT = Path(__file__).parents[2]


def test_read_arrow_refuses_a_stream_that_claims_more_rows_than_it_has() -> None:
    body = arrow_stream(pa.table({name: [float(at)] * 7 for at, name in enumerate(FEATURES)}))
    claimed = body.replace((7).to_bytes(8, "little"), (10_000).to_bytes(8, "little"))
    with pytest.raises(ProblemError, match=r"no Arrow stream: .*too small"):
        read_arrow(claimed, 10_000)


def test_read_arrow_survives_mutated_streams() -> None:
    """In a process of its own: what this finds ends the process. Whole: see benchmarks/fuzz_arrow.py."""
    command = [sys.executable, "-m", "benchmarks.fuzz_arrow", "--streams", "2000", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
