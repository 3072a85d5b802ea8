"""Publishes a generation's folder to S3, where machines without the lake's disk pull it (speed.stores.s3)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from jobs.errors import FormcastError
from speed.errors import SpeedError
from speed.generations import CURRENT, MANIFEST, read_manifest, verify_files
from speed.stores.aws import aws_client, plain_errors

_NOT_THERE = {"404", "NoSuchKey"}
_MOVED = {"ConditionalRequestConflict", "PreconditionFailed"}


class S3Publisher:
    """One publish to `s3://bucket/prefix`. What CURRENT says when it begins is what it may replace."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url, self._bucket, self._prefix = url.rstrip("/"), parts.netloc, parts.path.strip("/")
        try:
            self._client = aws_client("s3", patient=True)
            there = self._current()
            self._seen = there[1] if there else None
        except SpeedError as error:
            raise FormcastError(str(error)) from error

    def upload(self, folder: Path) -> None:
        """Send a verified generation, its manifest last: nobody sees one without."""
        try:
            manifest = read_manifest(folder)
            verify_files(folder, manifest)
            for file in (*sorted(manifest.files), MANIFEST):
                with plain_errors(f"{self._url}/{folder.name}/{file}"):
                    self._client.upload_file(str(folder / file), self._bucket, self._key(f"{folder.name}/{file}"))
        except SpeedError as error:
            raise FormcastError(str(error)) from error

    def swap(self, name: str) -> None:
        """Make a generation live. Raises FormcastError where another publish moved CURRENT since this one began."""
        unmoved = {"IfMatch": self._seen} if self._seen else {"IfNoneMatch": "*"}
        try:
            with plain_errors(self._url):
                answer = self._put_current(f"{name}\n".encode(), unmoved)
        except SpeedError as error:
            raise FormcastError(str(error)) from error
        self._seen = answer

    def _put_current(self, content: bytes, condition: dict[str, str]) -> str:
        try:
            answer = self._client.put_object(Bucket=self._bucket, Key=self._key(CURRENT), Body=content, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MOVED:
                if (there := self._current()) and there[0] == content:
                    return there[1]  # ours: its answer was lost, and the client has tried again
                raise FormcastError(
                    f"Another publish has moved {self._url}/{CURRENT} in the meantime: look which run it was, "
                    "and publish again if this one is to be live."
                ) from error
            raise
        return str(answer["ETag"])

    def _current(self) -> tuple[bytes, str] | None:
        """The content of CURRENT and its version, or None before the first publish."""
        with plain_errors(self._url):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(CURRENT))
                return answer["Body"].read(), str(answer["ETag"])
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return None
                raise

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name
