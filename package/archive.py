"""Archives and checksums: the same files give the same bytes, whoever packs them, when and where."""

from __future__ import annotations

import gzip
import hashlib
import stat
import tarfile
import zipfile
from pathlib import Path

from package.errors import PackageError

EPOCH = 315_532_800
"""1980-01-01, the first day that zip files know: the time of everything in a package."""

SUMS = "SHA256SUMS"


def pack(folder: Path, archive: Path) -> None:
    """Write what is in `folder` as a tar.gz: sorted, owned by nobody, without times."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_plain)


def pack_zip(folder: Path, archive: Path) -> None:
    """Write the files in `folder` as a zip: sorted, without owners and times."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # its time is that of EPOCH
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16  # Lambda runs as somebody else, who must read it
            packed.writestr(info, path.read_bytes())


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = EPOCH
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return info


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS of all files in `folder`, as sha256sum reads it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != SUMS]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    (folder / SUMS).write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names), encoding="utf-8")


def checked_files(folder: Path) -> dict[str, str]:
    """Names and checksums of a package's files. Raises PackageError where one is not what SHA256SUMS says."""
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()]
    sums = {name: digest for digest, name in lines}
    for name, expected in sums.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise PackageError(f"{folder / name} is not what was built: delete {folder} and run `make package`.")
    return sums


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
