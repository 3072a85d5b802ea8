"""Where the campaign's lakes are, and how one is copied: folders, or prefixes of a bucket of the stand-in for AWS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

ROOM = 24 << 20
"""Bytes of room on the small disk of a lake that shall run full."""
BUCKET = "faults"


class Place(Protocol):
    def lake(self, name: str) -> str:
        """The address of a lake."""

    def copy(self, source: str, target: str) -> None:
        """Copy the lake of one name to another name, where none is."""

    def delete(self, name: str) -> None:
        """Delete a lake."""


class Folders:
    """Lakes in folders below one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lake(self, name: str) -> str:
        return str(self._root / name / "lake")

    def copy(self, source: str, target: str) -> None:
        if Path(self.lake(source)).is_dir():
            shutil.copytree(self.lake(source), self.lake(target), dirs_exist_ok=True)

    def delete(self, name: str) -> None:
        shutil.rmtree(self._root / name, ignore_errors=True)

    @contextlib.contextmanager
    def small_disk(self, name: str) -> Iterator[None]:
        """The lake of this name is on a disk of its own, which has little room. Needs the right to mount."""
        lake = Path(self.lake(name))
        lake.mkdir(parents=True, exist_ok=True)
        used = sum(file.stat().st_size for file in lake.rglob("*") if file.is_file())
        aside = lake.with_name("aside")
        lake.rename(aside)
        lake.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * used + ROOM}", "tmpfs", lake], check=True)
        try:
            shutil.copytree(aside, lake, dirs_exist_ok=True)
            yield
            shutil.rmtree(aside)
            shutil.copytree(lake, aside)
        finally:
            subprocess.run(["umount", "--lazy", lake], check=True)  # a reader may have a file open
            lake.rmdir()
            aside.rename(lake)


class Bucket:
    """Lakes below prefixes of one bucket."""

    def __init__(self) -> None:
        import boto3  # noqa: PLC0415

        self._client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        self._client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
        )
        self._lock = threading.Lock()

    def lake(self, name: str) -> str:
        return f"s3://{BUCKET}/{name}"

    def copy(self, source: str, target: str) -> None:
        for key in self._keys(source):
            with self._lock:
                self._client.copy_object(
                    Bucket=BUCKET, CopySource={"Bucket": BUCKET, "Key": key}, Key=target + key[len(source) :]
                )

    def delete(self, name: str) -> None:
        for key in self._keys(name):
            self._client.delete_object(Bucket=BUCKET, Key=key)

    def _keys(self, name: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{name}/")
        return [found["Key"] for page in pages for found in page.get("Contents", ())]
