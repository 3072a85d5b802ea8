"""The package for EMR: the same bytes twice, a version is never two things, and it runs wherever it is unpacked."""

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from package.archive import pack, pack_zip, write_sums
from package.deploy import deploy
from package.errors import PackageError
from package.source import PARTS, find_source

SHIPPED = Path(__file__).resolve().parents[2] / "package" / "shipped"


def git(folder, *words):
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "-C", str(folder), *me, *words], check=True, capture_output=True)


def listing(folder):
    """Names and text of the files of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "checkout"
    for part in PARTS:
        file = root / part if "." in part or part == "LICENSE" else root / part / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{part} as committed")
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all")
    return root


def test_same_files_are_packed_to_the_same_bytes(tmp_path):
    for name, umask, time, order in (("one", 0o022, 10**9, "abc"), ("two", 0o077, 10**9 + 1, "cba")):
        before = os.umask(umask)
        for letter in order:
            file = tmp_path / name / "lib" / letter
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(letter)
            os.utime(file, (time, time))
        (tmp_path / name / "lib" / "a").chmod(0o700)
        os.umask(before)
        pack(tmp_path / name, tmp_path / f"{name}.tar.gz")
        pack_zip(tmp_path / name, tmp_path / f"{name}.zip")

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert {file.filename: file.external_attr >> 16 for file in packed.infolist()} == dict.fromkeys(
            ("lib/a", "lib/b", "lib/c"), 0o100644
        )
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        modes = {member.name: member.mode for member in tar}
    assert modes == {"lib": 0o755, "lib/a": 0o755, "lib/b": 0o644, "lib/c": 0o644}


@pytest.mark.parametrize("lock", ["emr.txt", "lambda.txt"])
def test_what_is_packaged_does_not_hang_on_the_python_that_packages(lock):
    """pip judges markers by the Python that it runs on, not by the one that it installs for."""
    text = (SHIPPED.parents[1] / "requirements" / lock).read_text()
    assert re.findall(r"(?m)^[a-z0-9._-]+==\S+ ;.*", text) == []


def test_package_is_made_of_the_commit(checkout, tmp_path):
    commit = subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "HEAD"], text=True)
    (checkout / "notes.md").write_text("what no package holds")

    source = find_source(checkout, dirty=False)
    source.export(tmp_path / "out")

    assert source.version == commit[:12]
    files = {part: f"{part} as committed" for part in PARTS}
    assert {name.removesuffix("/file"): text for name, text in listing(tmp_path / "out").items()} == files


@pytest.mark.parametrize("change", ["jobs/file", "speed/new"])
def test_changed_code_is_refused_or_marked_and_the_index_stays(checkout, tmp_path, change):
    (checkout / change).write_text("changed")
    with pytest.raises(PackageError, match=r"differs from its commit \w{12}.*commit, or try it out with DIRTY=1"):
        find_source(checkout, dirty=False)

    source = find_source(checkout, dirty=True)
    source.export(tmp_path / "out")

    assert (tmp_path / "out" / change).read_text() == "changed"
    assert source.version.split("-")[1] == "dirty"
    assert source == find_source(checkout, dirty=True)
    (checkout / change).write_text("changed again")
    assert source.version != find_source(checkout, dirty=True).version
    assert subprocess.run(["git", "-C", str(checkout), "diff", "--cached", "--quiet"], check=False).returncode == 0


@pytest.fixture
def built(tmp_path):
    folder = tmp_path / "dist" / "1a2b"
    (folder / "spark_conf").mkdir(parents=True)
    (folder / "entry.py").write_text("entry")
    (folder / "spark_conf" / "aws.conf").write_text("conf")
    write_sums(folder)
    return folder


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        made = boto3.resource("s3").Bucket("lake")
        made.create()
        yield made


def stored(bucket):
    return {item.key: item.get()["Body"].read().decode() for item in bucket.objects.all()}


def test_package_is_uploaded_once_whole_and_again_without_a_change(built, bucket):
    for _ in range(2):
        assert deploy(built, "lake/forms") == "s3://lake/forms/code/1a2b"
    assert stored(bucket) == {f"forms/code/1a2b/{name}": text for name, text in listing(built).items()}


def test_version_that_is_there_with_other_bytes_stays_as_it_is(built, bucket):
    deploy(built, "s3://lake")
    before = stored(bucket)
    (built / "entry.py").write_text("another entry")
    write_sums(built)
    with pytest.raises(PackageError, match=r"s3://lake/code/1a2b/entry.py is there with other bytes"):
        deploy(built, "s3://lake")
    assert stored(bucket) == before


def test_upload_that_was_cut_off_has_no_sums_and_is_completed_by_another(built, bucket):
    bucket.put_object(Key="code/1a2b/entry.py", Body=b"entry", ChecksumAlgorithm="SHA256")
    deploy(built, "lake")
    assert "code/1a2b/SHA256SUMS" in stored(bucket)


def test_package_that_was_touched_is_not_uploaded(built, bucket):
    (built / "entry.py").write_text("touched")
    with pytest.raises(PackageError, match=r"entry.py is not what was built: delete .* and run `make package`"):
        deploy(built, "lake")
    assert stored(bucket) == {}


@pytest.mark.parametrize(("place", "sentence"), [("", "Name the bucket"), ("nowhere", "cannot be written")])
def test_upload_to_nowhere_says_so(built, bucket, place, sentence):
    with pytest.raises(PackageError, match=sentence):
        deploy(built, place)


@pytest.fixture
def node(tmp_path):
    """Answers a function that runs the bootstrap action on a node, where `aws` copies files and `sudo` just does."""
    code, tools, home = tmp_path / "code", tmp_path / "tools", tmp_path / "opt" / "formcast"
    environment = tmp_path / "environment"
    for folder in (code, tools, environment / "bin", environment / "lib"):
        folder.mkdir(parents=True)
    (environment / "lib" / "shipped_module.py").write_text("WHERE = __file__")
    shutil.copy(SHIPPED / "python", environment / "bin" / "python")
    pack(environment, code / "environment.tar.gz")
    shutil.copy(SHIPPED / "entry.py", code / "entry.py")
    write_sums(code)
    for name, script in (("aws", 'cp "${4#file:}" "$5"'), ("sudo", 'exec "$@"')):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)

    def unpack():
        env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
        command = ["bash", str(SHIPPED / "unpack.sh"), f"file:{code}/", str(home)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False), code, home

    return unpack


def test_node_has_a_python_with_the_packages_wherever_it_is(node, tmp_path):
    done, _, home = node()
    assert done.returncode == 0, done.stderr
    assert (home / "entry.py").read_text() == (SHIPPED / "entry.py").read_text()

    (tmp_path / "link").symlink_to(home / "environment" / "bin" / "python")
    show = "import sys, shipped_module; print(shipped_module.WHERE, sys.version_info[:2], sys.path[1])"
    told = subprocess.check_output(
        [tmp_path / "link", "-c", show], env=os.environ | {"PYTHONPATH": "/spark"}, text=True
    )
    # Spark's own modules come before those of the package, as Spark has put them there.
    assert told.split() == [str(home / "environment/lib/shipped_module.py"), "(3,", "11)", "/spark"]


def test_node_with_a_damaged_package_does_not_come_up(node):
    done, code, home = node()
    shutil.rmtree(home)
    damaged = bytearray((code / "environment.tar.gz").read_bytes())
    damaged[-1] ^= 1
    (code / "environment.tar.gz").write_bytes(damaged)
    done, _, home = node()
    assert done.returncode != 0
    assert not (home / "environment").exists()
