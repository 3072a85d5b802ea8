"""Generations in S3: pulled into a folder of this machine, verified there, and opened like any other."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError

from speed.errors import StoreDamagedError, StoreError, StoreMissingError
from speed.generations import MANIFEST, PIN, Generations, read_manifest, verify_files
from speed.stores.aws import aws_client, plain_errors
from speed.stores.records import Manifest

KEPT = 3
"""Generations that stay on this machine: the live one, the one coming, and one to go back to."""
_NOT_THERE = {"404", "NoSuchKey"}


class S3Generations(Generations):
    """The generations below an `s3://bucket/prefix`, through a folder that processes of one machine may share."""

    def __init__(self, url: str, cache: Path, without: tuple[str, ...] = ()) -> None:
        """cache: a folder; other sources may use it too. without: names of files that are not wanted."""
        parts = urlsplit(url)
        self.url, self._bucket, self._prefix = url.rstrip("/"), parts.netloc, parts.path.strip("/")
        super().__init__(cache / self._bucket / self._prefix / ("part" if without else "whole"))
        self._without = without
        self._client = aws_client("s3")

    def point(self, pointer: str, name: str) -> None:
        """Make PIN or CURRENT name a generation."""
        with plain_errors(self.url):
            self._client.put_object(Bucket=self._bucket, Key=self._key(pointer), Body=f"{name}\n".encode())

    def unpin(self) -> None:
        with plain_errors(self.url):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(PIN))

    def manifest(self, name: str) -> Manifest:
        """Raises StoreMissingError if the generation is not there, StoreDamagedError if its manifest is damaged."""
        content = self._get(f"{name}/{MANIFEST}")
        if content is None:
            raise StoreMissingError(f"{self.url} holds no generation {name!r}.")
        try:
            return msgspec.json.decode(content, type=Manifest)
        except ValueError as error:
            raise StoreDamagedError(f"{self.url}/{name} holds no readable manifest: {error}.") from error

    def all(self) -> list[Manifest]:
        """As `kept`: if S3 cannot be read for now, no other generation can be pulled either."""
        return self.kept()

    def _names(self) -> list[str]:
        with plain_errors(self.url):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(""), Delimiter="/"
            )
            folders = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
        names = (folder.rstrip("/").rpartition("/")[2] for folder in folders)
        return [name for name in names if not name.startswith(".")]

    def folder(self, name: str) -> Path:
        """Where the generation is on this machine, pulled where it was not yet and verified."""
        folder = self.serving / name
        with _alone(self.serving):
            if not self._is_good(folder):
                self._download(name, folder)
            os.utime(folder)
            self._forget_old()
        return folder

    def _download(self, name: str, folder: Path) -> None:
        """Nothing stands under the generation's name before all its files are there and right."""
        manifest = self.manifest(name)
        part = self.serving / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)  # what a process that was killed left
        try:
            part.mkdir()
            for file in self._wanted(manifest).files:
                self._pull(f"{name}/{file}", part / file)
            verify_files(part, self._wanted(manifest))
            (part / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        except OSError as error:
            raise StoreError(f"Generation {name} cannot be kept in {self.serving}: {error}.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _pull(self, name: str, file: Path) -> None:
        with plain_errors(f"{self.url}/{name}"):
            try:
                self._client.download_file(self._bucket, self._key(name), str(file))
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    raise StoreDamagedError(f"{self.url}/{name} cannot be used: {error}.") from error
                raise

    def _is_good(self, folder: Path) -> bool:
        """Whether a generation is here, and as good as when it came: disks of a cache outlive many processes."""
        if not folder.is_dir():
            return False
        try:
            verify_files(folder, self._wanted(read_manifest(folder)))
        except StoreError:  # whatever is wrong with a copy, another may be pulled
            return False
        return True

    def _wanted(self, manifest: Manifest) -> Manifest:
        files = {name: checksum for name, checksum in manifest.files.items() if name not in self._without}
        return msgspec.structs.replace(manifest, files=files)

    def _forget_old(self) -> None:
        """Keep those that were asked for last. What a process has open stays readable to it."""
        folders = sorted(self.serving.glob("[!.]*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in folders[KEPT:]:
            shutil.rmtree(folder)

    def _read(self, pointer: str) -> str | None:
        content = self._get(pointer)
        return content.decode().strip() if content is not None else None

    def _get(self, name: str) -> bytes | None:
        with plain_errors(self.url):
            try:
                answer: Any = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                return bytes(answer["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return None
                raise

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: the first pulls, and the others find what it pulled."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
