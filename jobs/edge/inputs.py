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
_NOT_TEXT = (".parquet", ".zip", ".zst", ".xz", ".7z", ".tar", ".tgz", ".lz4", ".snappy", ".orc", ".avro", ".xlsx")


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
        head = _head(path)
        if head.strip():
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
    found = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  (absolute too)
    files = [file for entry in found for file in (_below(entry) if entry.is_dir() else [entry])]
    return [(str(file.resolve()), datetime.fromtimestamp(file.stat().st_mtime, UTC)) for file in files]


def _below(folder: Path) -> list[Path]:
    try:
        inside = [path for path in files_below(folder) if path.is_file()]
    except PermissionError as error:
        raise MissingError(f"{error.filename} cannot be read: permission denied.") from error
    return [path for path in inside if _is_data(path.relative_to(folder).parts)]


def _in_s3(pattern: str) -> list[tuple[str, datetime]]:
    """A glob's `*` stays within one part of a key, as it does in a folder's path."""
    system, path = filesystem_of(pattern)
    parts = path.split("/")
    is_glob = [any(mark in part for mark in "*?[") for part in parts]
    fixed = "/".join(parts[: is_glob.index(True)]) if any(is_glob) else path
    with plain_errors(pattern):
        only = system.get_file_info(fixed)
        if only.type == fs.FileType.File:
            return [(f"{S3}{only.path}", only.mtime)]
        below = system.get_file_info(fs.FileSelector(fixed, recursive=True, allow_not_found=True))
    depth = len(parts) if any(is_glob) else len(fixed.split("/"))
    found = []
    for info in sorted(below, key=lambda info: str(info.path)):
        names = info.path.split("/")
        matches = len(names) >= len(parts) and all(map(fnmatchcase, names, parts))
        if info.type == fs.FileType.File and matches and _is_data(names[depth:]):
            found.append((f"{S3}{info.path}", info.mtime))
    return found


def _is_data(names: Sequence[str]) -> bool:
    """Whether a file below a folder is data: names that start with "." or "_" are markers, as Hadoop has it.

    A manifest beside a file, <file>.manifest.json, is no data either.
    """
    return not any(name[0] in "._" or name.endswith(BESIDE_FILE) for name in names)


def _head(path: str) -> bytes:
    suffix = Path(path).suffix.lower()
    if suffix in _NOT_TEXT:
        raise ContractError(f"{path} is a {suffix} file: give text, plain or as .gz or .bz2.")
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(suffix, nullcontext)
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
