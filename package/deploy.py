"""Uploads a package to S3, where it never changes: what is there under a version is what was built under it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from package.archive import SUMS, checked_files, sha256
from package.errors import PackageError

_THERE = {"PreconditionFailed", "412"}
_AT_THE_SAME_TIME = {"ConditionalRequestConflict", "409"}


def deploy(folder: Path, place: str) -> str:
    """Upload a package below `place`, a bucket with or without a prefix; answers where it is.

    A second upload of the same bytes does nothing. Raises PackageError where other bytes are there, or S3 refuses.
    """
    bucket, _, prefix = place.removeprefix("s3://").strip("/").partition("/")
    if not bucket:
        raise PackageError("Where to? Name the bucket, as in `make deploy-code BUCKET=my-bucket/my-prefix`.")
    below = "/".join(part for part in (prefix, "code", folder.name) if part)
    sums = checked_files(folder) | {SUMS: sha256(folder / SUMS)}
    client = boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 5}))
    try:
        # SHA256SUMS last: a package that has it is whole.
        for name in sorted(sums, key=lambda name: (name == SUMS, name)):
            _put_once(client, bucket, f"{below}/{name}", folder / name, sums[name])
    except (ClientError, BotoCoreError) as error:
        raise PackageError(f"s3://{bucket}/{below} cannot be written: {error}") from error
    return f"s3://{bucket}/{below}"


def _put_once(client: Any, bucket: str, key: str, file: Path, digest: str) -> None:
    checksum = base64.b64encode(bytes.fromhex(digest)).decode()
    content: dict[str, Any] = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
    try:
        with file.open("rb") as body:
            client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*", **content)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _AT_THE_SAME_TIME:
            raise PackageError(f"Somebody uploads s3://{bucket}/{key} at this moment: run this again.") from error
        if code not in _THERE:
            raise
        there = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED").get("ChecksumSHA256")
        if there != checksum:
            raise PackageError(
                f"s3://{bucket}/{key} is there with other bytes, and a version never changes: commit what differs, "
                "which makes it another version."
            ) from error
