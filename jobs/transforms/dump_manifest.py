"""What a manifest beside a dump states, and whether what is there agrees. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

import msgspec

from jobs.errors import ContractError

MARKER, IN_FOLDER, BESIDE_FILE = "_SUCCESS", "_manifest.json", ".manifest.json"
"""Names of what stands in a folder or, after the file's own name, beside a file."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Read = TypeVar("Read", bound=msgspec.Struct)


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as it is stored, and its lines of data (headers are none); None for what is not stated."""

    bytes: Count | None = None
    rows: Count | None = None


class _Written(msgspec.Struct, frozen=True):
    """A manifest as it is written: of a file, a bare number is its bytes."""

    rows: Count | None = None
    files: dict[str, Count | FileFacts] = {}


@dataclass(frozen=True)
class Manifest:
    """place: where it is, for the reader. rows: lines of data in all files. files: by name relative to its folder."""

    place: str
    rows: int | None
    files: dict[str, FileFacts]


class SuccessMarker(msgspec.Struct, frozen=True):
    """What the S3A and manifest committers leave in `_SUCCESS`. filenames: paths where the job wrote, some or all."""

    filenames: list[str] = []


@dataclass(frozen=True)
class StatedRows:
    """A manifest's word that files, by path, hold so many lines of data together. what: the files, in words."""

    place: str
    what: str
    rows: int
    paths: tuple[str, ...]


def parse_manifest(content: bytes, place: str) -> Manifest:
    """Raises ContractError if it is damaged or of another shape."""
    written, files = _decode(content, _Written, place), dict[str, FileFacts]()
    if written.rows is None and not written.files:
        raise _unusable(place, "it states neither `rows` nor `files`")
    for name, facts in written.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise _unusable(place, f"{name!r} is no file below its folder")
        files[str(path)] = facts if isinstance(facts, FileFacts) else FileFacts(bytes=facts)
    return Manifest(place, written.rows, files)


def of_one_file(manifest: Manifest, name: str) -> Manifest:
    """A manifest beside one file, which is all that it may name. Raises ContractError if it names another."""
    others = [other for other in manifest.files if other != name]
    if others:
        raise _unusable(manifest.place, f"it names {others[0]}, and stands beside {name}")
    return replace(manifest, files={name: FileFacts()} | manifest.files)


def parse_success(content: bytes, place: str) -> tuple[str, ...]:
    """The files that a job says it wrote; none if its marker is empty, as most are."""
    return tuple(_decode(content, SuccessMarker, place).filenames) if content.strip() else ()


def check_sizes(manifest: Manifest, size_of: Callable[[str], int | None]) -> None:
    """Raise ContractError if a named file is missing or has another size. size_of: bytes by name, None if missing."""
    for name, facts in manifest.files.items():
        size = size_of(name)
        if size is None:
            raise _missing(manifest.place, name)
        if facts.bytes is not None and size != facts.bytes:
            raise ContractError(
                f"{manifest.place} states {facts.bytes:,} bytes of {name}, which has {size:,}: it was cut on its "
                "way, or is of another dump. Nothing was written. Copy the dump again, with its manifest."
            )


def check_named(names: Iterable[str], place: str, exists: Callable[[str], bool]) -> None:
    """Raise ContractError if a file that a job wrote is not there. exists: by path relative to the marker's folder.

    names: absolute where the job ran. The dump may have been copied since, so any end of a path will do.
    """
    for name in names:
        parts = PurePosixPath((name.partition("://")[2] or name).lstrip("/")).parts
        if not any(exists("/".join(parts[at:])) for at in reversed(range(len(parts)))):
            raise _missing(place, name)


def stated_rows(
    manifest: Manifest, what: str, covered: Iterable[str], path_of: Callable[[str], str]
) -> Iterator[StatedRows]:
    """What can be checked once the lines are counted. covered: files that `rows` stands for. path_of: by name."""
    if manifest.rows is not None:
        yield StatedRows(manifest.place, what, manifest.rows, tuple(covered))
    for name, facts in manifest.files.items():
        if facts.rows is not None:
            yield StatedRows(manifest.place, name, facts.rows, (path_of(name),))


def check_lines(stated: Iterable[StatedRows], lines: Mapping[str, int]) -> None:
    """Raise ContractError if files hold other numbers of lines than stated. lines: read from each file, by path."""
    for each in stated:
        read = sum(lines.get(path, 0) for path in each.paths)
        if read != each.rows:
            raise ContractError(
                f"{each.place} states {each.rows:,} lines of data in {each.what}, and {read:,} were read: the dump "
                "is cut, taken in part, or of another day. Nothing was written. Give it whole, with its manifest."
            )


def _decode(content: bytes, kind: type[Read], place: str) -> Read:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(place, f"{error}".rstrip(".")) from error


def _unusable(place: str, why: str) -> ContractError:
    return ContractError(
        f"{place} cannot be used as a manifest: {why}. Nothing was written. Write it anew (docs/tables.md has its "
        "format), or delete it if the dump is whole."
    )


def _missing(place: str, name: str) -> ContractError:
    return ContractError(
        f"{place} names {name}, which is not there: the dump is incomplete. Nothing was written. Copy it again."
    )
