"""Builds the package of a commit in `dist/<version>`: wheel, environment, entry, settings, the Lambda's zip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from package.archive import EPOCH, SUMS, checked_files, pack, pack_zip, write_sums
from package.errors import PackageError
from package.source import Source, find_source

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""What Amazon Linux 2023 (glibc 2.34) can load."""

PYTHON_OF_EMR = "3.11"
PYTHON_OF_LAMBDA = "3.13"
"""Lambda's own 3.11 is on Amazon Linux 2, whose glibc (2.26) does not load onnxruntime."""

LAMBDA_BYTES = 250 * 1024 * 1024
"""What Lambda takes, unpacked."""

# They say where, when and by whom a package was installed, and nothing that it needs to run.
_TRACES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def build(root: Path, *, dirty: bool) -> Path:
    """The folder of the package; what was built before is not built again. Raises PackageError."""
    source = find_source(root, dirty=dirty)
    target = root / "dist" / source.version
    if (target / SUMS).is_file():
        checked_files(target)
        return target
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        work = Path(scratch)
        source.export(work / "source")
        (work / "package").mkdir()
        wheel = _wheel(source, work)
        _environment(work, wheel)
        _lambda(work, wheel)
        for name in ("entry.py", "unpack.sh"):
            shutil.copyfile(work / "source" / "package" / "shipped" / name, work / "package" / name)
        shutil.copytree(work / "source" / "spark_conf", work / "package" / "spark_conf")
        write_sums(work / "package")
        (work / "package").rename(target)
    return target


def _wheel(source: Source, work: Path) -> Path:
    """Formcast's wheel, whose version names the commit: the run ledger tells which code ran."""
    project = work / "source" / "pyproject.toml"
    text, found = re.subn(r'(?m)^version = "([^"]+)"$', rf'version = "\1+{source.version.replace("-", ".")}"',
                          project.read_text(encoding="utf-8"), count=1)  # fmt: skip
    if not found:
        raise PackageError('pyproject.toml has no line `version = "..."`: the package\'s version comes from it.')
    project.write_text(text, encoding="utf-8")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work / "package"), str(work / "source"))
    [wheel] = (work / "package").glob("*.whl")
    return wheel


def _environment(work: Path, wheel: Path) -> None:
    """environment.tar.gz: the locked packages, Formcast, and a `python` that finds them wherever that is."""
    environment = work / "environment"
    _install(environment / "lib", work / "source" / "requirements" / "emr.txt", wheel, PYTHON_OF_EMR)
    (environment / "bin").mkdir()
    python = environment / "bin" / "python"
    shutil.copyfile(work / "source" / "package" / "shipped" / "python", python)
    python.chmod(0o755)
    pack(environment, work / "package" / "environment.tar.gz")


def _lambda(work: Path, wheel: Path) -> None:
    """lambda.zip: the locked packages and speed/, all that `speed.lambda_handler` runs on."""
    root = work / "lambda"
    _install(root, work / "source" / "requirements" / "lambda.txt", wheel, PYTHON_OF_LAMBDA)
    shutil.rmtree(root / "jobs")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    if size > LAMBDA_BYTES:
        raise PackageError(
            f"The Lambda's packages have {size:,} bytes, of which it takes {LAMBDA_BYTES:,}: "
            "shorten requirements/lambda.in and run `make lock`."
        )
    pack_zip(root, work / "package" / "lambda.zip")


def _install(lib: Path, lock: Path, wheel: Path, python: str) -> None:
    """The packages of a lock and Formcast in `lib`, for another Python on Linux than this one."""
    target = ["--target", str(lib), "--no-deps", "--no-compile", "--only-binary", ":all:"]
    target += ["--python-version", python, "--implementation", "cp"]
    # pip looks for wheels of that Python, but asks this one whether they suit it: the lock has answered that.
    target.append("--ignore-requires-python")
    target += [word for platform in PLATFORMS for word in ("--platform", platform)]
    for packages in (["--require-hashes", "-r", str(lock)], [str(wheel)]):
        _pip("install", *target, *packages)
        # Programs begin with the path of the Python that installed them, which is not there where this is unpacked.
        shutil.rmtree(lib / "bin")
    for trace in lib.glob("*.dist-info/*"):
        if trace.name in _TRACES:
            trace.unlink()


def _pip(command: str, *words: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    env = os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH), "PIP_NO_CACHE_DIR": "0"}
    done = subprocess.run([sys.executable, "-m", "pip", command, *quiet, *words], env=env, umask=0o022, check=False)
    if done.returncode:
        raise PackageError(f"pip {command} failed, see above: nothing was packaged.")
