"""What a path, a folder or a glob names, on a disk and in S3: each file once, and none that would not be read."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from jobs.edge.inputs import HEAD_BYTES, expand, find_inputs
from jobs.errors import ContractError, MissingError
from jobs.settings import Settings

FILES = (
    "a.csv", "_a.csv", ".a.csv", "_SUCCESS", "a.csv.manifest.json", "day=1/b.csv", "day=1/_SUCCESS",
    "day=1/deep/c.csv", "_delta_log/0.csv", ".trash/old.csv", "day=2/.tmp/d.csv",
    "day=2/_tmp/e.csv", "day=2/f.csv._COPYING_",
)  # fmt: skip
ALL = {"a.csv", "day=1/b.csv", "day=1/deep/c.csv"}
COPY = "day=2/f.csv._COPYING_"
PATTERNS = {
    "": ALL | {COPY},
    "*": ALL | {COPY},
    "**": ALL | {COPY},
    "**/*.csv": ALL,
    "*.csv": {"a.csv"},
    "*a.csv": {"a.csv"},
    "day=*": {"day=1/b.csv", "day=1/deep/c.csv", COPY},
    "day=*/*": {"day=1/b.csv", "day=1/deep/c.csv", COPY},
    "day=?/*.csv": {"day=1/b.csv"},
    "_*.csv": {"_a.csv"},
    "_*": {"_a.csv", "_SUCCESS", "_delta_log/0.csv"},
    "_delta_log/*": {"_delta_log/0.csv"},
    "*/_tmp/*": {"day=2/_tmp/e.csv"},
    "*/_tmp": {"day=2/_tmp/e.csv"},
    "a.csv": {"a.csv"},
    "_a.csv": {"_a.csv"},
    "day=2/_tmp": {"day=2/_tmp/e.csv"},
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_expand_names_each_file_once_and_no_marker(pattern: str, tmp_path: Path) -> None:
    for name in FILES:
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")

    found = [path for path, _ in expand(f"{tmp_path}/in/{pattern}")]

    assert sorted(found) == sorted(f"{tmp_path.resolve()}/in/{name}" for name in PATTERNS[pattern])


def test_expand_in_s3_names_what_it_names_on_a_disk(aws: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="dumps", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    for name in FILES:
        s3.put_object(Bucket="dumps", Key=f"in/{name}", Body=b"x")

    for pattern, names in PATTERNS.items():
        found = [path for path, _ in expand(f"s3://dumps/in/{pattern}".rstrip("/"))]
        assert sorted(found) == sorted(f"s3://dumps/in/{name}" for name in names), pattern


@pytest.mark.parametrize(
    "name", ["_a.csv", ".a.csv", "_metadata", "_common_metadata", "a.csv._COPYING_", "02:00.csv"]
)
def test_a_file_that_spark_would_not_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ContractError, match=r"[Rr]ename it"):
        find_inputs(Settings(input=str(tmp_path / name)))
    (tmp_path / "latest.csv").symlink_to(tmp_path / name)
    with pytest.raises(ContractError, match=r"[Rr]ename it"):
        find_inputs(Settings(input=str(tmp_path / "latest.csv")))


def test_a_glob_that_names_markers_alone_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(MissingError, match="no file is there"):
        expand(f"{tmp_path}/*")


def test_a_file_that_begins_with_a_long_blank_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n" * HEAD_BYTES + "x")
    with pytest.raises(ContractError, match="its first line is blank"):
        find_inputs(Settings(input=str(tmp_path)))
