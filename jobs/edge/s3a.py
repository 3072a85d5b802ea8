"""How Spark on one machine reaches a lake in S3: jars and settings, beside those that every session has."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.edge.places import s3_endpoint
from jobs.errors import MissingError
from jobs.settings import Settings

CONF = "s3.conf"
"""Beside the file of the settings' `spark_conf`."""


def s3_jars(settings: Settings) -> list[str]:
    """Raises MissingError where they were not fetched."""
    folder = Path(settings.jars) / "s3"
    jars = sorted(str(jar) for jar in folder.glob("*.jar"))
    if not jars:
        raise MissingError(
            f"Spark's jars for S3 are not in {folder}: run `make setup LAKE=s3://...` once (640 MB), or use EMR."
        )
    return jars


def s3_endpoint_conf() -> dict[str, str]:
    """Region and, for a store that is not Amazon's, endpoint: from the variables that boto3 reads."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    conf = {"spark.hadoop.fs.s3a.endpoint.region": region} if region else {}
    if endpoint := s3_endpoint():
        conf |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https:")).lower(),
        }
    return conf
