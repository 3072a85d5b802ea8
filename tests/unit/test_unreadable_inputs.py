"""Inputs: what is damaged breaks the contract; what cannot be read for now may be read by a retry."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from jobs.edge.forms import reading
from jobs.edge.inputs import expand, find_inputs
from jobs.errors import ContractError, FormcastError, MissingError
from jobs.settings import Settings
from tests.trouble import failing_disk

LINE = ",".join(["f1", "1", "2", "-".join(["0"] * 47)]) + "\n"
TRACE = "Job aborted.\nCaused by: {}\n\tat org.apache.hadoop.io.compress.bzip2.CBZip2InputStream.read(x.java:9)"


class Failing:
    """A file system whose disk fails."""

    def open_input_file(self, _: str) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_on_a_disk_that_fails_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(LINE.encode()))
    settings = Settings(input=str(tmp_path))
    monkeypatch.setattr("jobs.edge.inputs.filesystem_of", lambda path: (Failing(), path))
    with pytest.raises(FormcastError, match=r"a\.csv\.gz cannot be read for now: .*Input/output error") as raised:
        find_inputs(settings)
    assert type(raised.value) is FormcastError


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", b"no gzip"),
        ("a.csv.gz", gzip.compress(LINE.encode())[:30]),
        ("a.csv.bz2", b"no bzip2"),
        ("a.csv.bz2", bz2.compress(LINE.encode())[:40]),
    ],
    ids=["no gzip", "cut gzip", "no bzip2", "cut bzip2"],
)
def test_a_damaged_file_breaks_the_contract(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContractError, match="is damaged or cut short"):
        find_inputs(Settings(input=str(tmp_path)))


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its forms would be missing from a night that looks good."""
    for name in ("day=1", "day=2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(LINE)
    assert len(expand(str(tmp_path))) == 2
    failing_disk(monkeypatch, "day=2")
    with pytest.raises(OSError, match="Input/output error"):
        expand(str(tmp_path))
    monkeypatch.setattr(os, "scandir", lambda place: (_ for _ in ()).throw(PermissionError(13, "denied", str(place))))
    with pytest.raises(MissingError, match="cannot be read: permission denied"):
        expand(str(tmp_path))


@pytest.mark.parametrize(
    ("cause", "is_damaged"),
    [
        ("java.io.EOFException: Unexpected end of input stream", True),
        ("java.io.IOException: gzip stream CRC failure", True),
        ("java.io.IOException: crc error", True),
        ("org.apache.hadoop.fs.s3a.impl.HttpChannelEOFException: channel was closed", False),
        ("software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request", False),
        ("java.net.SocketTimeoutException: Read timed out", False),
        ("java.io.IOException: Input/output error", False),
    ],
)
def test_what_spark_says_of_a_compressed_file(cause: str, is_damaged: bool) -> None:
    with pytest.raises(ContractError if is_damaged else RuntimeError), reading("dump.csv.bz2"):
        raise RuntimeError(TRACE.format(cause))
