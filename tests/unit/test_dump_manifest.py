"""Manifests and markers beside a dump: what each lets through, and the sentence about what it does not."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from jobs.edge import dump_manifests
from jobs.edge.dump_manifests import stated_rows
from jobs.edge.inputs import expand
from jobs.edge.places import filesystem_of
from jobs.errors import ContractError, MissingError
from jobs.transforms.dump_manifest import check_lines
from jobs.transforms.lines import path_of_source

Files = Mapping[str, object]
S3A = {"name": "org.apache.hadoop.fs.s3a.commit.files.SuccessData/1", "committer": "magic", "metrics": {"a": 1}}
HERE, BESIDE, NAMES = "_manifest.json", "a.csv.manifest.json", "filenames"
TWO: Files = {"a.csv": "1\n2\n", "b.csv": "3\n"}
DEEP: Files = {"a.csv": "1\n", "day=1/b.csv": "2\n3\n"}


def write(place: str, files: Files) -> None:
    """Files of a dump by name: text as it is, anything else as JSON, None for an empty folder."""
    system, folder = filesystem_of(place)
    for name, content in files.items():
        path = f"{folder}/{name}"
        if content is None:
            system.create_dir(path)
            continue
        system.create_dir(path.rpartition("/")[0])
        with system.open_output_stream(path) as stream:
            stream.write((content if isinstance(content, str) else json.dumps(content)).encode())


def check(pattern: str) -> None:
    """As prepare checks a dump, with the lines as Python counts them."""
    stated = stated_rows(pattern)
    check_lines(stated, {path: lines_in(path) for path, _ in expand(pattern)})


def lines_in(place: str) -> int:
    system, path = filesystem_of(place)
    with system.open_input_stream(path) as stream:
        return len(bytes(stream.readall()).splitlines())


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the dump is."""
    if request.param == "folder":
        return str(tmp_path)
    import boto3

    request.getfixturevalue("aws")
    place = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3").create_bucket(Bucket="dumps", CreateBucketConfiguration=place)
    return "s3://dumps/today"


ACCEPTED: dict[str, tuple[str, Files]] = {
    "nothing beside it": ("", TWO),
    "an empty marker": ("", TWO | {"_SUCCESS": ""}),
    "a marker that names no file": ("", TWO | {"_SUCCESS": S3A}),
    "a marker that names keys": ("", DEEP | {"_SUCCESS": S3A | {NAMES: ["/x/a.csv", "/x/day=1/b.csv"]}}),
    "a marker that names URIs": ("", TWO | {"_SUCCESS": S3A | {NAMES: ["s3a://lake/x/a.csv"]}}),
    "rows of a folder": ("", DEEP | {HERE: {"rows": 3, "created_at": "2026-11-24"}}),
    "rows of two folders": ("", DEEP | {HERE: {"rows": 3}, "day=1/_manifest.json": {"rows": 2}}),
    "bytes": ("", DEEP | {HERE: {"files": {"./a.csv": 2, "day=1/b.csv": {"bytes": 4, "rows": 2}}}}),
    "rows of files": ("", TWO | {HERE: {"files": {"a.csv": {"rows": 2}, "b.csv": {}}}}),
    "no rows": ("", TWO | {"c.csv": "", HERE: {"rows": 3, "files": {"c.csv": {"rows": 0}}}}),
    "beside a file": ("a.csv", TWO | {BESIDE: {"rows": 2, "files": {"a.csv": 4}}}),
    "beside another file": ("a.csv", TWO | {"b.csv.manifest.json": {"rows": 9}, HERE: {"rows": 9}}),
    "beside files of a folder": ("", TWO | {BESIDE: {"rows": 2}, "b.csv.manifest.json": {"rows": 1}}),
    "a glob of files": ("*.csv", TWO | {HERE: {"rows": 3}, BESIDE: {"rows": 2}}),
    "a glob of folders": ("d*", {"d1/a.csv": "1\n", HERE: {"rows": 9}, "_temporary": None}),
    "a job that ended": ("", TWO | {"_SUCCESS": "", "_temporary": None}),
    "a name that looks like a job's": ("", TWO | {"_temporary": "a file"}),
}  # fmt: skip

REFUSED: dict[str, tuple[str, Files, str]] = {
    "a file of the job is missing": (
        "", TWO | {"_SUCCESS": S3A | {NAMES: ["/x/a.csv", "/x/c.csv"]}}, "names /x/c.csv, which is not"),
    "a file of the job is elsewhere": (
        "", DEEP | {"_SUCCESS": S3A | {NAMES: ["/x/day=2/b.csv"]}}, "names /x/day=2/b.csv, which"),
    "a file of the job is out of reach": ("", TWO | {"_SUCCESS": S3A | {NAMES: ["../c.csv"]}}, "names ../c.csv"),
    "a damaged marker": ("", TWO | {"_SUCCESS": '{"filenames": ["'}, "_SUCCESS cannot be used as a manifest: Input"),
    "a marker of another shape": ("", TWO | {"_SUCCESS": ["a.csv"]}, "_SUCCESS cannot be used .* got `array`"),
    "a damaged manifest": ("", TWO | {HERE: '{"rows": 3'}, "_manifest.json cannot be used as a manifest"),
    "an empty manifest": ("", TWO | {HERE: ""}, "_manifest.json cannot be used as a manifest"),
    "no number": ("", TWO | {HERE: {"rows": "3"}}, r"_manifest.json .* got `str` - at `\$.rows`"),
    "a negative number": ("", TWO | {HERE: {"files": {"a.csv": -1}}}, "_manifest.json .* >= 0"),
    "an unknown fact": ("", TWO | {HERE: {"files": {"a.csv": {"size": 4}}}}, "unknown field `size`"),
    "nothing that is known": ("", TWO | {HERE: {"entries": []}}, "states neither `rows` nor `files`"),
    "a file elsewhere": ("", TWO | {HERE: {"files": {"../a.csv": 4}}}, "no file below its folder"),
    "a row too few": ("", DEEP | {HERE: {"rows": 4}}, "states 4 lines of data in all its files, and 3"),
    "a row too many": ("", DEEP | {HERE: {"rows": 2}}, "states 2 lines of data in all its files, and 3"),
    "a row too few below": ("", DEEP | {"day=1/_manifest.json": {"rows": 3}}, "day=1/_manifest.json states 3"),
    "rows that even out": (
        "", TWO | {HERE: {"rows": 3, "files": {"a.csv": {"rows": 1}, "b.csv": {"rows": 2}}}},
        "states 1 lines of data in a.csv, and 2 were read"),
    "a byte too few": ("", TWO | {HERE: {"files": {"a.csv": 5}}}, "states 5 bytes of a.csv, which has 4"),
    "a missing file": ("", TWO | {HERE: {"files": {"c.csv": 5}}}, "names c.csv, which is not there"),
    "a folder for a file": ("", DEEP | {HERE: {"files": {"day=1": {}}}}, "names day=1, which is not"),
    "beside a file": ("a.csv", TWO | {BESIDE: {"rows": 3}}, "a.csv.manifest.json states 3"),
    "bytes beside a file": ("a.csv", TWO | {BESIDE: {"files": {"a.csv": 3}}}, "states 3 bytes of a.csv"),
    "damaged beside a file": ("a.csv", TWO | {BESIDE: "4"}, "a.csv.manifest.json cannot be used"),
    "another beside a file": ("a.csv", TWO | {BESIDE: {"files": {"b.csv": 2}}}, "names b.csv, and stands"),
    "beside an empty file": ("", TWO | {"c.csv": "", "c.csv.manifest.json": {"rows": 9}}, "states 9 .* and 0 were"),
    "beside no file": ("", TWO | {"c.csv.manifest.json": {"rows": 9}}, "names c.csv, which is not"),
    "a glob of files": ("*.csv", TWO | {"b.csv.manifest.json": {"rows": 2}}, "b.csv.manifest.json states 2 lines"),
    "a part of a folder": ("a*.csv", TWO | {HERE: {"rows": 3}}, "states 3 .* taken in part"),
    "a glob of folders": ("d*", {"d1/a.csv": "1\n", "d1/_manifest.json": {"rows": 2}}, "d1/_manifest.json states 2"),
    "a job at work": ("", TWO | {"_temporary/0/x": ""}, "is still being written: .* no _SUCCESS"),
    "a job that has only begun": ("", {"_temporary": None}, "is still being written: it holds _temporary/"),
    "a job at work below": ("", {"a.csv": "1\n", "d/b.csv": "2\n", "d/_temporary": None}, "d is still being written"),
    "a job at work, by a glob": ("*.csv", TWO | {"_temporary": None}, "is still being written"),
    "a job at work, by a file": ("a.csv", TWO | {"__magic_job-1": None}, "still being written: it holds __magic"),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_dump_that_agrees_is_let_through(case: str, place: str) -> None:
    pattern, files = ACCEPTED[case]
    write(place, files)
    check(f"{place}/{pattern}")


@pytest.mark.parametrize("case", REFUSED)
def test_a_dump_that_disagrees_is_refused_in_one_sentence(case: str, place: str) -> None:
    pattern, files, sentence = REFUSED[case]
    write(place, files)
    with pytest.raises(ContractError, match=sentence) as raised:
        check(f"{place}/{pattern}")
    assert "\n" not in str(raised.value) and place in str(raised.value)


def test_sizes_are_checked_before_a_line_is_read(tmp_path: Path) -> None:
    write(str(tmp_path), TWO | {HERE: {"files": {"a.csv": 5}}})
    with pytest.raises(ContractError, match="5 bytes"):
        stated_rows(str(tmp_path))


@pytest.mark.parametrize("pattern", ["", "*", "a*"])
def test_manifests_are_no_data(pattern: str, place: str) -> None:
    write(place, {"a.csv": "1\n", BESIDE: {"rows": 1}})
    assert [path for path, _ in expand(f"{place}/{pattern}")] == [f"{place}/a.csv"]


def test_a_manifest_that_may_not_be_read_is_no_manifest_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(str(tmp_path), TWO | {BESIDE: {"rows": 3}})

    def closed(place: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)

    system = SimpleNamespace(get_file_info=fs.LocalFileSystem().get_file_info, open_input_stream=closed)
    monkeypatch.setattr(dump_manifests, "filesystem_of", lambda place: (system, place))
    with pytest.raises(MissingError, match=r"a\.csv\.manifest\.json cannot be read: permission denied"):
        stated_rows(str(tmp_path))


def test_links_lead_to_the_files_that_are_described(tmp_path: Path) -> None:
    write(f"{tmp_path}/store", {"a-24.csv": "1\n2\n"})
    write(f"{tmp_path}/today", {HERE: {"rows": 3, "files": {"a.csv": {"bytes": 4, "rows": 2}}}})
    (tmp_path / "today" / "a.csv").symlink_to(tmp_path / "store" / "a-24.csv")
    (tmp_path / "link").symlink_to(tmp_path / "today")
    with pytest.raises(ContractError, match="states 3 lines of data in all its files, and 2 were read"):
        check(str(tmp_path / "link"))


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("file:///data/a%20b/%C3%BC%25%23.csv", "/data/a b/ü%#.csv"),
        ("file:/data/a.csv", "/data/a.csv"),
        ("s3://lake/in/a%20b.csv", "s3://lake/in/a b.csv"),
        ("s3a://lake/in/a.csv", "s3://lake/in/a.csv"),
        ("/data/a.csv", "/data/a.csv"),
    ],
)
def test_path_of_source(source: str, path: str) -> None:
    assert path_of_source(source) == path
