"""The stages of set-up: what each depends on (its key), where its stamp is, and how it is made."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootstrap.checks import SetupError, reason_in
from bootstrap.jars import fetch_jars, missing_jars
from jobs.edge.airflow import FRESH_DATABASE, POOL, airflow_environment

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "logs" / "setup"


@dataclass(frozen=True)
class Stage:
    """A folder that is made once: again when its inputs change, or when its stamp is gone."""

    name: str
    title: str
    folder: Path
    inputs: tuple[Path, ...]
    needs: str | None
    gigabytes: float
    build: Callable[[], None]
    is_whole: Callable[[], bool] = lambda: True
    on_demand: bool = False
    """Only made where it is asked for."""

    @property
    def stamp(self) -> Path:
        return self.folder / f".formcast-{self.name}"

    def key(self) -> str:
        """What the folder was made of: the inputs' bytes, the interpreter, the place (environments cannot move)."""
        parts = [path.read_bytes() for path in self.inputs]
        parts += [sys.version.encode(), str(self.folder).encode()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def is_done(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == self.key() and self.is_whole()

    def run(self) -> None:
        """Build, and stamp last: what is interrupted is built again."""
        key = self.key()
        self.stamp.unlink(missing_ok=True)
        self.build()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(key, encoding="utf-8")


def run_logged(name: str, command: list[str], env: dict[str, str] | None = None) -> None:
    """Run a program with its output in logs/setup/<name>.log; raises SetupError where it fails."""
    log = LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # pip builds in TMPDIR, which is often a small memory disk: here only one disk must have room.
    scratch = ROOT / ".setup" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as out:
        begin = out.tell()
        done = subprocess.run(
            command,
            env={**(os.environ if env is None else env), "TMPDIR": str(scratch)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode:
        told = log.read_text(encoding="utf-8", errors="replace")[begin:]
        raise SetupError(f"Set-up of {name} failed: {reason_in(told)}. Log: {log}")


def _environment(name: str, venv: Path, lock: Path, pip_options: list[str]) -> None:
    """Make or bring up to date a virtual environment that holds what the lock says."""
    python, building = venv / "bin" / "python", venv / ".formcast-building"
    same = f"version = {sys.version_info.major}.{sys.version_info.minor}."
    config = venv / "pyvenv.cfg"
    if building.exists() or not python.exists() or not config.is_file() or same not in config.read_text():
        if venv.exists():
            shutil.rmtree(venv)
        run_logged(name, [sys.executable, "-m", "venv", str(venv)])
    building.touch()
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--retries", "3"]
    builders = ROOT / ".setup" / f"{name}-builders.txt"
    builders.parent.mkdir(exist_ok=True)
    builders.write_text(_locked(lock, "setuptools"), encoding="utf-8")
    # First what builds pyspark, held to its hash: pip's isolated builds would fetch it unchecked.
    run_logged(name, [*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(builders)])
    run_logged(name, [*pip, "--require-hashes", "--only-binary", ":all:", *pip_options, "-r", str(lock)])
    building.unlink()


def _locked(lock: Path, package: str) -> str:
    found = re.search(rf"^{package}==.*?(?=^\S)", lock.read_text(encoding="utf-8") + "\nend", re.M | re.S)
    if found is None:
        raise SetupError(f"{lock} does not lock {package}: run `make lock`.")
    return found.group(0)


def _package() -> None:
    pip = [str(ROOT / ".venv/bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    run_logged("package", [*pip, "--no-build-isolation", "-e", "."])


def _database() -> None:
    airflow, home = str(ROOT / ".venv-airflow" / "bin" / "airflow"), ROOT / ".airflow"
    home.mkdir(exist_ok=True)
    place = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / FRESH_DATABASE}"}
    env = airflow_environment(ROOT) | place
    (home / FRESH_DATABASE).unlink(missing_ok=True)
    run_logged("database", [airflow, "db", "migrate"], env)
    # A step that waits for a job on AWS is deferred, and writes none the less: it must hold its slot.
    pool = [POOL, "1", "One writer at a time in the lake", "--include-deferred"]
    run_logged("database", [airflow, "pools", "set", *pool], env)
    if not (home / "airflow.db").is_file():
        shutil.copyfile(home / FRESH_DATABASE, home / "airflow.db")
    else:
        run_logged("database", [airflow, "db", "migrate"], airflow_environment(ROOT))


def stages() -> list[Stage]:
    """All stages, each after the one it needs."""
    req, spark, airflow = ROOT / "requirements", ROOT / ".venv", ROOT / ".venv-airflow"
    spark_lock, airflow_lock, jars_lock = req / "spark.txt", req / "airflow.txt", req / "jars.txt"
    s3_lock, s3_jars = req / "jars_s3.txt", ROOT / ".jars" / "s3"
    from_source = ["--no-build-isolation", "--no-binary", "pyspark"]
    return [
        Stage("spark", "Python packages for Spark", spark, (spark_lock,), None, 2.4,
              lambda: _environment("spark", spark, spark_lock, from_source)),
        Stage("airflow", "Python packages for Airflow", airflow, (airflow_lock,), None, 1.2,
              lambda: _environment("airflow", airflow, airflow_lock, [])),
        Stage("package", "Formcast itself", spark, (ROOT / "pyproject.toml",), "spark", 0.0, _package),
        Stage("jars", "Delta's jars for Spark", ROOT / ".jars", (jars_lock,), "spark", 0.1,
              lambda: fetch_jars(ROOT, jars_lock, ROOT / ".jars", run_logged),
              lambda: not missing_jars(ROOT / ".jars", jars_lock)),
        Stage("s3", "Spark's jars for a lake in S3", s3_jars, (s3_lock,), "spark", 1.5,
              lambda: fetch_jars(ROOT, s3_lock, s3_jars, run_logged),
              lambda: not missing_jars(s3_jars, s3_lock), on_demand=True),
        Stage("database", "Airflow's database", ROOT / ".airflow", (airflow_lock,), "airflow", 0.1, _database,
              lambda: all((ROOT / ".airflow" / name).is_file() for name in ("airflow.db", FRESH_DATABASE))),
    ]  # fmt: skip
