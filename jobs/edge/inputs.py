"""What to ingest: the files behind a path, a folder or a glob, and their first lines."""

from __future__ import annotations

import bz2
import glob
import gzip
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from jobs.errors import ContractError, MissingError
from jobs.settings import Settings
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
    for path in _expand(settings.input):
        head = _head(path)
        if head.strip():
            layout = detect_layout(head, str(path), settings.layout, settings.columns)
            files.append(InputFile(str(path), layout, datetime.fromtimestamp(path.stat().st_mtime, UTC)))
    if not files:
        raise ContractError(f"{settings.input} is empty: there is no line in it. Give the newest dump of all forms.")
    return files


def _expand(pattern: str) -> list[Path]:
    if not pattern:
        raise MissingError("No input is named: give a file, a folder or a glob (INPUT=... or --input).")
    path = Path(pattern).expanduser()
    found = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  (absolute too)
    files = [file for entry in found for file in (_below(entry) if entry.is_dir() else [entry])]
    if not files:
        raise MissingError(f"Nothing to read at {pattern}: no file is there. Check INPUT.")
    return [file.resolve() for file in files]


def _below(folder: Path) -> list[Path]:
    """Data files below a folder; names that start with "." or "_" are markers and checksums, as Hadoop has it."""
    inside = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in inside if not any(part[0] in "._" for part in path.relative_to(folder).parts)]


def _head(path: Path) -> bytes:
    if path.suffix.lower() in _NOT_TEXT:
        raise ContractError(f"{path} is a {path.suffix} file: give text, plain or as .gz or .bz2.")
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), Path.open)
    try:
        with cast("IO[bytes]", opener(path, "rb")) as file:
            return file.read(HEAD_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        if isinstance(error, PermissionError):
            raise MissingError(f"{path} cannot be read: permission denied.") from error
        raise ContractError(damaged(str(path))) from error


def damaged(path: str) -> str:
    return f"{path} is damaged or cut short: it cannot be decompressed to its end. Copy it again."
