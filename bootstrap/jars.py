"""Spark's jars: fetched by the Ivy that pyspark ships, held to the hashes of requirements/jars.txt."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from bootstrap.checks import SetupError, find_java


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.group}_{self.artifact}-{self.version}.jar"


def locked_jars(lock: Path) -> list[Jar]:
    """The jars of a lock file: one `group:artifact:version sha256:<hex>` a line."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, digest = line.split()
            group, artifact, version = name.split(":")
            jars.append(Jar(group, artifact, version, digest.removeprefix("sha256:")))
    return jars


def missing_jars(folder: Path, lock: Path) -> list[Jar]:
    """Those that are not there; by name only, as this is asked at every run."""
    return [jar for jar in locked_jars(lock) if not (folder / jar.file_name).is_file()]


def fetch_jars(root: Path, lock: Path, folder: Path, run_logged: Callable[[str, list[str]], None]) -> None:
    """Fill the folder with exactly what is locked. Raises SetupError on a hash that differs.

    Only what pyspark lacks is listed, and nothing is followed further: another version of a jar that
    pyspark ships would sit on the class path beside its own.
    """
    jars, work = locked_jars(lock), root / ".setup" / f"ivy-{folder.name.lstrip('.')}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "ivy.xml").write_text(_ivy_module(jars), encoding="utf-8")
    shipped = next((root / ".venv" / "lib").glob("python3.*/site-packages/pyspark/jars"), None)
    if shipped is None:
        raise SetupError("pyspark is not in .venv: remove .venv and run the same command again.")

    # `java -cp <pyspark>/jars/* org.apache.ivy.Main`: no session starts, and no index address is named.
    ivy = [find_java(), f"-Divy.default.ivy.user.dir={work}", "-cp", f"{shipped}/*", "org.apache.ivy.Main"]
    where = ["-ivy", str(work / "ivy.xml"), "-cache", str(work / "cache"), "-types", "jar", "bundle"]
    pattern = f"{work}/out/[organisation]_[artifact]-[revision].[ext]"
    run_logged("jars", [*ivy, *where, "-retrieve", pattern])

    for jar in jars:
        _check(work / "out" / jar.file_name, jar)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jar"):
        old.unlink()
    for jar in jars:
        (work / "out" / jar.file_name).replace(folder / jar.file_name)
    shutil.rmtree(work)


def _check(path: Path, jar: Jar) -> None:
    name = f"{jar.group}:{jar.artifact}:{jar.version}"
    if not path.is_file():
        raise SetupError(f"The jar {name} was not downloaded whole: run the same command again.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise SetupError(f"The jar {name} differs from the one that was locked: check your registry or proxy.")


def _ivy_module(jars: list[Jar]) -> str:
    wanted = "".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)} "
        'conf="default->master"/>'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0"><info organisation="formcast" module="jars"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{wanted}</dependencies></ivy-module>'
    )
