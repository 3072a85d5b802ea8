"""The libraries that score report to nobody: watched from the kernel's side, by strace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.generations import publish_generation

# Time for what a library does in threads of its own: its first look-up comes within a second.
_PROGRAM = """
import sys, time
from speed.scorer import Scorer
scorer = Scorer(open(sys.argv[1], "rb").read())
scorer.score_one([1.0] * 47, 10)
time.sleep(3)
"""
_SOCKET = re.compile(r"\bsocket\(")
_WRITTEN = re.compile(r"\b(?:mkdir|openat|open|creat)\(.*(?:O_CREAT|O_WRONLY|O_RDWR|mkdir)")


def test_a_scorer_opens_no_socket_and_writes_no_file(tmp_path: Path) -> None:
    publish_generation(tmp_path / "serving", "g1", {"a": ([1.0] * 47, 10, 3)})
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", trace, "-e", "trace=network,openat,open,creat,mkdir"),
            *(sys.executable, "-B", "-c", _PROGRAM, tmp_path / "serving" / "g1" / "model.onnx"),
        ],
        env=env | {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        timeout=300,
    )
    calls = trace.read_text().splitlines()
    assert calls, "strace saw nothing"
    assert [call for call in calls if _SOCKET.search(call)] == []
    assert [call for call in calls if _WRITTEN.search(call) and "/dev/null" not in call] == []
    assert list(home.iterdir()) == []
