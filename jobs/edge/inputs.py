"""What to ingest: the files behind a path, a folder or a glob, and their first lines."""

from __future__ import annotations

import bz2
import glob
import gzip
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pyarrow import fs

from jobs.edge.files import files_below
from jobs.edge.places import S3, filesystem_of, in_s3, plain_errors
from jobs.errors import ContractError, FormcastError, MissingError
from jobs.settings import Settings
from jobs.transforms.dump_manifest import BESIDE_FILE
from jobs.transforms.layout import Layout, detect_layout

HEAD_BYTES = 64 * 1024
_NOT_TEXT = (
    ".parquet",
    ".zip",
    ".zst",
    ".xz",
    ".7z",
    ".tar",
    ".tgz",
    ".lz4",
    ".snappy",
    ".deflate",
    ".orc",
    ".avro",
    ".xlsx",
)
COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
_COPYING = "._COPYING_"


@dataclass(frozen=True)
class InputFile:
    """A file to ingest, how its lines are laid out, and when it was last written."""

    path: str
    layout: Layout
    modified: datetime


def find_inputs(settings: Settings) -> list[InputFile]:
    """The files that `settings.input` names, each with its layout.

    Raises MissingError where there is none, ContractError where one cannot be ingested or none holds a row.
    """
    files = []
    for path, modified in expand(settings.input):
        _check_name(path)
        head = _head(path)
        if head.strip() or len(head) == HEAD_BYTES:
            layout = detect_layout(head, path, settings.layout, settings.columns)
            files.append(InputFile(path, layout, modified))
    if not files:
        raise ContractError(f"{settings.input} is empty: there is no line in it. Give the newest dump of all forms.")
    return files


def expand(pattern: str) -> list[tuple[str, datetime]]:
    """The files behind a path, a folder or a glob, each with the time when it was last written."""
    if not pattern:
        raise MissingError("No input is named: give a file, a folder or a glob (INPUT=... or --input).")
    found = _in_s3(pattern) if in_s3(pattern) else _on_this_machine(pattern)
    if not found:
        raise MissingError(f"Nothing to read at {pattern}: no file is there. Check INPUT.")
    return found


def _on_this_machine(pattern: str) -> list[tuple[str, datetime]]:
    path = Path(pattern).expanduser()
    named = _below(path) if path.is_dir() else [path]
    found = named if path.exists() else _matching(path)
    # Once each: a glob names a file again by each folder above it that it names.
    files = {str(file.resolve()): file for file in found}
    return [(name, datetime.fromtimestamp(file.stat().st_mtime, UTC)) for name, file in files.items()]


def _matching(pattern: Path) -> list[Path]:
    found = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207  (absolute too)
    files = [file for entry in found for file in (_below(entry) if entry.is_dir() else [entry])]
    fixed = _fixed(pattern.parts)
    return [file for file in files if _is_data(file.parts[fixed:], pattern.parts[fixed:])]


def _fixed(parts: Sequence[str]) -> int:
    """How many parts of a pattern stand before the first one that is a glob."""
    return next((at for at, part in enumerate(parts) if any(mark in part for mark in "*?[")), len(parts))


def _below(folder: Path) -> list[Path]:
    try:
        inside = [path for path in files_below(folder) if path.is_file()]
    except PermissionError as error:
        raise MissingError(f"{error.filename} cannot be read: permission denied.") from error
    return [path for path in inside if _is_data(path.relative_to(folder).parts)]


def _in_s3(pattern: str) -> list[tuple[str, datetime]]:
    """A glob's `*` stays within one part of a key, as it does in a folder's path; `**` is any number of parts."""
    system, path = filesystem_of(pattern)
    parts = path.split("/")
    depth = _fixed(parts)
    fixed = "/".join(parts[:depth])
    with plain_errors(pattern):
        only = system.get_file_info(fixed)
        if only.type == fs.FileType.File:
            return [(f"{S3}{only.path}", only.mtime)]
        below = system.get_file_info(fs.FileSelector(fixed, recursive=True, allow_not_found=True))
    found = []
    for info in sorted(below, key=lambda info: str(info.path)):
        names = info.path.split("/")[depth:]
        if info.type == fs.FileType.File and _matches(names, parts[depth:]) and _is_data(names, parts[depth:]):
            found.append((f"{S3}{info.path}", info.mtime))
    return found


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether parts of a glob name a file, or a folder above it."""
    if not parts:
        return True
    if parts[0] == "**":
        return any(_matches(names[at:], parts[1:]) for at in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _is_data(names: Sequence[str], asked: Sequence[str] = ()) -> bool:
    """Whether a file below a folder is data: names that start with "." or "_" are markers, as Hadoop has it.

    asked: parts of a glob; one that itself starts so asks for such names. A manifest beside a file,
    <file>.manifest.json, is no data either.
    """
    hidden = [part for part in asked if part[0] in "._"]
    markers = [name for name in names if name[0] in "._" and not any(fnmatchcase(name, part) for part in hidden)]
    return not markers and not any(name.endswith(BESIDE_FILE) for name in names)


def _check_name(path: str) -> None:
    """Raises ContractError for a file that Spark would pass over in silence, or could not open."""
    name = path.rpartition("/")[2]
    if name[0] == "." or (name[0] == "_" and "=" not in name) or name.endswith(_COPYING):
        raise ContractError(
            f"{path} would not be read: names that begin with _ or . are those of markers, and names that end in "
            f"{_COPYING} those of copies that are not complete. Rename it if it is a whole dump."
        )
    if ":" in name and not in_s3(path):
        raise ContractError(f"{path} cannot be read by Spark, because of the colon in its name: rename it.")


def _head(path: str) -> bytes:
    suffix = Path(path).suffix.lower()
    if suffix in _NOT_TEXT:
        raise ContractError(f"{path} is a {suffix} file: give text, plain or as .gz or .bz2.")
    opener = COMPRESSED.get(suffix, nullcontext)
    try:
        system, name = filesystem_of(path)
        with system.open_input_file(name) as file, opener(file) as stream:
            return bytes(stream.read(HEAD_BYTES))
    except (EOFError, zlib.error, OSError) as error:
        if isinstance(error, PermissionError):
            raise MissingError(f"{path} cannot be read: permission denied.") from error
        # What gzip and bz2 say of their input has no number: a disk's and a network's errors have, or are of AWS.
        if isinstance(error, OSError) and (error.errno is not None or "AWS Error" in str(error)):
            raise FormcastError(f"{path} cannot be read for now: {error}. Run again when that is fixed.") from error
        raise ContractError(damaged(path)) from error


def damaged(path: str) -> str:
    return f"{path} is damaged or cut short: it cannot be decompressed to its end. Copy it again."
