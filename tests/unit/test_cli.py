"""The command line: what it costs before it does anything."""

from __future__ import annotations

import subprocess
import sys


def test_commands_that_only_read_wait_for_nothing_heavy() -> None:
    """Each of these takes a quarter of a second or more; `formcast show` has one second in all."""
    heavy = ["boto3", "delta", "fastapi", "onnx", "pandas", "pyspark", "scipy", "sklearn"]
    code = f"import sys, jobs.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
