"""Manifests and markers beside the input: found, read, and checked in all but the lines, which Spark counts later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from pyarrow import fs

from jobs.edge.inputs import expand
from jobs.edge.places import filesystem_of, in_s3, plain_errors
from jobs.errors import ContractError, MissingError
from jobs.transforms import dump_manifest as pure
from jobs.transforms.dump_manifest import BESIDE_FILE, IN_FOLDER, MARKER, StatedRows

_UNCOMMITTED = ("_temporary", "__magic")
"""How folders begin in which jobs write what they have not committed yet: Hadoop's, and those of S3A's committer."""


class _Kind(Enum):
    FILE, FOLDER, GLOB = "file", "folder", "glob"


def stated_rows(pattern: str) -> list[StatedRows]:
    """What manifests beside the input state of its lines, to be checked once they are counted; [] without any.

    Raises ContractError if a folder of the input is still being written, a manifest cannot be used, or a file that
    one names is missing or has another size.
    """
    top, kind = _top(pattern)
    if kind == _Kind.FOLDER:
        _Folder(top).check_finished()  # its job may not have committed a file yet
    paths = [path for path, _ in expand(pattern)]
    stated = list[StatedRows]()
    for place in _folders_of(paths, top, kind):
        folder = _Folder(place)
        folder.check_finished()
        covered = paths if place == top else [path for path in paths if path.startswith(f"{place}/")]
        if kind != _Kind.FILE:
            folder.check_marker()
            stated += folder.of_all(covered)
        stated += folder.of_single_files(None if kind == _Kind.FOLDER else set(paths))
    return stated


class _Folder:
    """A folder from which the input is taken. place: absolute, without links, or in S3."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._listings = dict[str, dict[str, fs.FileInfo]]()

    def check_finished(self) -> None:
        entries = self._listing(self.place)
        folders = (name for name, info in entries.items() if info.type == fs.FileType.Directory)
        uncommitted = next((name for name in folders if name.startswith(_UNCOMMITTED)), "")
        if uncommitted and MARKER not in entries:
            raise ContractError(
                f"{self.place} is still being written: it holds {uncommitted}/ and no {MARKER}. Wait until the job "
                f"that writes it is done, or delete {uncommitted}/ if that job has failed and the dump is whole."
            )

    def check_marker(self) -> None:
        """That every file is there which the job that wrote the folder names."""
        if self._size_of(MARKER):
            place = f"{self.place}/{MARKER}"
            names = pure.parse_success(_read(place), place)
            pure.check_named(names, place, lambda name: self._size_of(name) is not None)

    def of_all(self, covered: Iterable[str]) -> Iterator[StatedRows]:
        """Of the folder's own manifest. covered: paths of the input in it."""
        if self._size_of(IN_FOLDER) is not None:
            place = f"{self.place}/{IN_FOLDER}"
            manifest = pure.parse_manifest(_read(place), place)
            pure.check_sizes(manifest, self._size_of)
            yield from pure.stated_rows(manifest, "all its files", covered, self._path_of)

    def of_single_files(self, taken: set[str] | None) -> Iterator[StatedRows]:
        """Of manifests beside files. taken: paths of the input, None for all files."""
        for found in sorted(self._listing(self.place)):
            name = found.removesuffix(BESIDE_FILE)
            is_asked = taken is None or self._path_of(name) in taken
            if name == found or name[0] in "._" or not is_asked:
                continue
            place = f"{self.place}/{found}"
            manifest = pure.of_one_file(pure.parse_manifest(_read(place), place), name)
            pure.check_sizes(manifest, self._size_of)
            yield from pure.stated_rows(manifest, name, [self._path_of(name)], self._path_of)

    def _path_of(self, name: str) -> str:
        """As `expand` has it."""
        place = f"{self.place}/{name}"
        return place if in_s3(place) else str(Path(place).resolve())

    def _size_of(self, name: str) -> int | None:
        """Bytes of a file of the folder or below it; None if it is not there."""
        below, _, base = name.rpartition("/")
        info = self._listing(f"{self.place}/{below}".rstrip("/")).get(base)
        return None if info is None or info.type != fs.FileType.File else int(info.size)

    def _listing(self, place: str) -> dict[str, fs.FileInfo]:
        if place not in self._listings:
            system, path = filesystem_of(place)
            with _readable(place):
                found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
            self._listings[place] = {info.base_name: info for info in found}
        return self._listings[place]


def _top(pattern: str) -> tuple[str, _Kind]:
    """The folder below which the input is, and what names it."""
    if in_s3(pattern):
        place, marked = pattern.rstrip("/"), _before_marks(pattern)
        is_file = marked is None and _type(place) == fs.FileType.File
    else:
        path = Path(pattern).expanduser().absolute()
        place, marked = str(path.resolve()), None if path.exists() else _before_marks(str(path))
        is_file = path.exists() and not path.is_dir()
    if is_file:
        return _parent(place), _Kind.FILE
    if marked is None:
        return place, _Kind.FOLDER
    top = _parent(marked)
    return top if in_s3(pattern) else str(Path(top).resolve()), _Kind.GLOB


def _before_marks(pattern: str) -> str | None:
    """What stands before the first sign of a glob; None if there is no sign."""
    first = min((pattern.index(mark) for mark in "*?[" if mark in pattern), default=None)
    return None if first is None else pattern[:first]


def _folders_of(paths: Iterable[str], top: str, kind: _Kind) -> list[str]:
    """The folders that hold the input. What a glob only passes through is none of them."""
    found = {top} if kind == _Kind.FOLDER else set[str]()
    for path in paths:
        folder = _parent(path)
        found.add(folder)
        while folder.startswith(f"{top}/"):
            found.add(folder)
            folder = _parent(folder)
    return sorted(found)


def _parent(place: str) -> str:
    return place.rpartition("/")[0] or "/"


def _type(place: str) -> fs.FileType:
    system, path = filesystem_of(place)
    with _readable(place):
        return system.get_file_info(path).type


def _read(place: str) -> bytes:
    system, path = filesystem_of(place)
    with _readable(place), system.open_input_stream(path) as stream:
        return bytes(stream.readall())


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Raises MissingError if a place may not be read, FormcastError if it cannot be for another reason."""
    with plain_errors(place):
        try:
            yield
        except PermissionError as error:
            raise MissingError(f"{place} cannot be read: permission denied.") from error
