"""The Spark session of a step. On one machine: settings from a file, jars from a folder; on EMR: what it has set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.edge.places import in_s3
from jobs.edge.s3a import CONF as S3_CONF
from jobs.edge.s3a import s3_endpoint_conf, s3_jars
from jobs.errors import MissingError
from jobs.settings import ROOT, Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JAVA_VERSIONS = (17, 21)
_ATTEMPTS_A_TASK = 4  # as on a cluster; by itself, a local Spark gives a step up for one killed Python worker


def java_version() -> int | None:
    """Major version of the Java that Spark would start, or None where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        return None
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', answer)
    return int(found.group(1)) if found else None


def start_spark(settings: Settings, app_name: str) -> SparkSession:
    """Start (or find) the session. Raises MissingError where Java or the jars are not there."""
    return _local_session(settings, app_name) if settings.engine == "local" else _submitted_session(app_name)


def _submitted_session(app_name: str) -> SparkSession:
    """The session of a job on EMR: master, jars, sizes and Python are as whoever submitted it has said."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  (as below)

    return SparkSession.builder.appName(app_name).getOrCreate()


def _local_session(settings: Settings, app_name: str) -> SparkSession:
    version = java_version()
    if version not in JAVA_VERSIONS:
        found = "none was found" if version is None else f"Java {version} was found"
        raise MissingError(f"Spark needs Java 17 or 21, and {found}: install one and set JAVA_HOME to it.")
    jars = sorted(str(jar) for jar in Path(settings.jars).glob("*.jar"))
    if not jars:
        raise MissingError(f"Spark's Delta jars are not in {settings.jars}: run `make setup`.")

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession  # noqa: PLC0415  (commands that only read start without it)

    conf = dict(_read_conf(Path(settings.spark_conf)))
    if in_s3(settings.lake) or in_s3(settings.input):
        jars += s3_jars(settings)
        conf |= dict(_read_conf(Path(settings.spark_conf).with_name(S3_CONF))) | s3_endpoint_conf()
    builder = SparkSession.builder.appName(app_name).master(f"local[{settings.cores},{_ATTEMPTS_A_TASK}]")
    for name, value in conf.items():
        builder = builder.config(name, value)
    return (
        builder.config("spark.jars", ",".join(jars))
        .config("spark.driver.memory", settings.driver_memory)
        .config("spark.driver.extraJavaOptions", _java_options(settings))
        .getOrCreate()
    )


def _read_conf(path: Path) -> list[tuple[str, str]]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    return [(name, value) for name, value in pairs]


def _java_options(settings: Settings) -> str:
    options = dict(_read_conf(Path(settings.spark_conf))).get("spark.driver.extraJavaOptions", "")
    log4j = ROOT / "spark_conf" / "log4j2.properties"
    return f"{options} -Dlog4j2.configurationFile=file:{log4j}"
