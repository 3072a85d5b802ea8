"""What an engine reads from S3: the size of the input, Spark's settings that ship with the code, a step's status."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from engines.sizing import text_bytes

_WILD = "*?["


class S3Files:
    """S3 as Airflow's worker sees it; a client that asks again where the network fails."""

    def __init__(self) -> None:
        self._client = S3Hook(config={"retries": {"mode": "standard", "total_max_attempts": 5}}).conn

    def text_bytes(self, pattern: str) -> int:
        """Bytes of text behind an s3:// file, folder or glob; 0 where nothing is there, which the step will say."""
        if not pattern:
            return 0
        bucket, wanted = split(pattern)
        fixed = wanted[: min((wanted.index(sign) for sign in _WILD if sign in wanted), default=len(wanted))]
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=fixed)
        found = [file for page in pages for file in page.get("Contents", ())]
        return sum(text_bytes(file["Key"], file["Size"]) for file in found if _is_meant(file["Key"], wanted))

    def properties(self, place: str, sign: str | None = None) -> dict[str, str]:
        """Names and values of a file's lines, which `sign` (a blank, unless said) parts; without comments."""
        lines = [line.strip() for line in self._text(place).splitlines()]
        pairs = [line.split(sign, 1) for line in lines if line and not line.startswith("#")]
        return {name.strip(): value.strip() for name, value in pairs}

    def status(self, folder: str) -> dict[str, Any] | None:
        """The status that a step has left in `folder`, or None: it did not come that far."""
        bucket, prefix = split(folder)
        found = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", ())
        files = [file["Key"] for file in found if file["Key"].endswith(".status.json")]
        return json.loads(self._text(f"s3://{bucket}/{files[0]}")) if files else None

    def _text(self, place: str) -> str:
        bucket, key = split(place)
        return self._client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def split(place: str) -> tuple[str, str]:
    """Bucket and key of an s3:// place."""
    bucket, _, key = place.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


def _is_meant(key: str, wanted: str) -> bool:
    return key == wanted or key.startswith(f"{wanted}/" if wanted else "") or fnmatchcase(key, wanted)
