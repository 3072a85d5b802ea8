"""The files of a lake beside its tables: models, generations, reports. The lake is a folder, or a prefix in S3."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pyarrow import fs

from jobs.edge.places import filesystem_of, in_s3, plain_errors
from jobs.errors import MissingError


class LakeFiles:
    """Reads and writes below a lake. Names are relative, with `/`. What is written appears whole or not at all."""

    def __init__(self, lake: str) -> None:
        self.lake = lake.rstrip("/")
        self.is_local = not in_s3(lake)

    @property
    def _fs(self) -> fs.FileSystem:
        return filesystem_of(self.lake)[0]

    def _path(self, name: str) -> str:
        return f"{filesystem_of(self.lake)[1]}/{name}"

    def uri(self, name: str) -> str:
        return Path(self._path(name)).as_uri() if self.is_local else f"{self.lake}/{name}"

    def place(self, name: str) -> str:
        """Where a file is, as people write it."""
        return self._path(name) if self.is_local else self.uri(name)

    def read(self, name: str) -> bytes | None:
        """A file's content, or None where it is not there."""
        with plain_errors(self.uri(name)):
            try:
                with self._fs.open_input_stream(self._path(name)) as stream:
                    return bytes(stream.readall())
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Put a file in the place of one that may be there."""
        path = self._path(name)
        with plain_errors(self.uri(name)):
            if not self.is_local:  # an object appears when it is complete
                with self._fs.open_output_stream(path) as stream:
                    stream.write(content)
                return
            file = Path(path)
            part = file.with_name(f".{file.name}.{os.getpid()}")
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(content)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all below it; nothing where there is none."""
        with plain_errors(self.uri(name)):
            kind = self._fs.get_file_info(self._path(name)).type
            if kind == fs.FileType.File:
                self._fs.delete_file(self._path(name))
            elif kind == fs.FileType.Directory:
                self._fs.delete_dir(self._path(name))

    def has(self, name: str) -> bool:
        with plain_errors(self.uri(name)):
            return bool(self._fs.get_file_info(self._path(name)).type != fs.FileType.NotFound)

    def folders(self, name: str) -> list[str]:
        """The names of the folders directly in a folder."""
        return [found.base_name for found in self._below(name) if found.type == fs.FileType.Directory]

    def changed(self, name: str) -> datetime:
        """When the newest file in a folder was written; long ago where there is none."""
        times = [found.mtime for found in self._below(name, recursive=True) if found.type == fs.FileType.File]
        return max(times, default=datetime.fromtimestamp(0, UTC))

    def written(self, name: str) -> datetime | None:
        """When a file was written, or None where it is not there."""
        with plain_errors(self.uri(name)):
            written: datetime | None = self._fs.get_file_info(self._path(name)).mtime
            return written

    def _below(self, name: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        with plain_errors(self.uri(name)):
            selector = fs.FileSelector(self._path(name), allow_not_found=True, recursive=recursive)
            return list(self._fs.get_file_info(selector))

    def workplace(self, name: str) -> Path:
        """An empty folder of this machine to build `name` in, which `keep` then puts in its place."""
        if not self.is_local:
            folder = Path(tempfile.mkdtemp(dir=scratch())) / Path(name).name
            folder.mkdir()
            return folder
        folder = Path(self._path(name))
        folder = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(folder, ignore_errors=True)  # what an attempt that was killed left
        folder.mkdir(parents=True)
        return folder

    def keep(self, built: Path, name: str, *, last: str) -> None:
        """Put a folder from `workplace` in place of what may be there: in S3 file by file, `last` at the end.

        Whoever reads it looks for `last` first, so no one takes a part for the whole.
        """
        with plain_errors(self.uri(name)):
            if self.is_local:
                _flush(built)
                shutil.rmtree(self._path(name), ignore_errors=True)
                built.rename(self._path(name))
                return
            self.delete(f"{name}/{last}")  # from here on nobody takes it for the whole
            self.delete(name)  # an attempt before this one may have left files of other names
            for file in sorted(files_below(built), key=lambda path: path == built / last):
                below = file.relative_to(built).as_posix()
                fs.copy_files(str(file), self._path(f"{name}/{below}"), fs.LocalFileSystem(), self._fs)
            shutil.rmtree(built)
            shutil.rmtree(self._copy(name), ignore_errors=True)

    @contextmanager
    def shared(self, name: str, folder: Path) -> Iterator[str]:
        """A place that all machines of a cluster reach; what they write there is in `folder` afterwards.

        A lake on this machine is no cluster's: the folder itself is the place.
        """
        if self.is_local:
            yield folder.absolute().as_uri()
            return
        self.delete(name)
        yield self.uri(name)
        with plain_errors(self.uri(name)):
            if self.has(name):
                fs.copy_files(self._path(name), str(folder), self._fs, fs.LocalFileSystem())
                self.delete(name)

    def folder(self, name: str) -> Path:
        """The folder `name` on this machine: itself, or a copy. Raises MissingError if there is none."""
        copy = self._copy(name)
        if not self.is_local and copy.is_dir():
            return copy
        with plain_errors(self.uri(name)):
            if self._fs.get_file_info(self._path(name)).type != fs.FileType.Directory:
                raise MissingError(f"There is no {self.uri(name)}.")
            if self.is_local:
                return Path(self._path(name))
            part = Path(tempfile.mkdtemp(dir=scratch()))
            fs.copy_files(self._path(name), str(part), self._fs, fs.LocalFileSystem())
            return part.rename(copy)

    def _copy(self, name: str) -> Path:
        """Where a folder of S3 is on this machine, once it was asked for."""
        return scratch() / uuid.uuid5(uuid.NAMESPACE_URL, self.uri(name)).hex


def files_below(folder: Path) -> list[Path]:
    """All files below a folder of this machine, in order; those whose names begin with a dot do not count.

    Raises OSError if a folder cannot be read, which `Path.rglob` would pass over in silence.
    """
    found = os.walk(folder, onerror=_raise)
    return sorted(Path(below, name) for below, _, names in found for name in names if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def _flush(folder: Path) -> None:
    """To the disk with all in a folder: after a power cut, its name must not stand for files that are empty."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@cache
def scratch() -> Path:
    """A folder that lives as long as this process: for what is built for S3, or read from there."""
    folder = Path(tempfile.mkdtemp(prefix="formcast-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
