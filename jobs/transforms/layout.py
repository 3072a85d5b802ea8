"""How the lines of an input are laid out, told from its first lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobs.errors import ContractError, UsageError
from speed.contract import FEATURES

BOM = b"\xef\xbb\xbf"
PACKED_COLUMNS = ("form_id", "submissions", "views", "features")
EVENT_COLUMNS = ("event",)
"""Of a refused event that is no line: it comes again in its stream, and not by a replay."""
WIDE_COLUMNS = ("form_id", "views", "submissions", *FEATURES)


@dataclass(frozen=True)
class Layout:
    """The columns of a line in order, and the header line that is no data (None where there is none).

    packed lines have the four PACKED_COLUMNS in some order, wide lines the fifty WIDE_COLUMNS.
    """

    columns: tuple[str, ...] = PACKED_COLUMNS
    header: bytes | None = None

    @property
    def is_packed(self) -> bool:
        return "features" in self.columns

    def remedy_for_swapped_counts(self) -> str:
        """What to say where submissions exceed views in most rows."""
        swap = {"views": "submissions", "submissions": "views"}
        if not self.is_packed:
            return "check the header: views and submissions look swapped"
        return f"run again with --columns {','.join(swap.get(name, name) for name in self.columns)}"


def detect_layout(head: bytes, source: str, kind: Literal["auto", "packed", "wide"], columns: str) -> Layout:
    """The layout of a file that starts with `head`.

    kind and columns: what the user said; "auto" and "" leave it to the first line.
    Raises ContractError where the lines are neither layout, UsageError where `columns` makes no sense.
    """
    first = next((line.strip() for line in head.removeprefix(BOM).split(b"\n") if line.strip()), b"")
    if b"\0" in head:
        raise ContractError(f"{source} is not text (it holds NUL bytes): give lines of comma-separated values.")
    said = said_columns(columns, kind)
    names = tuple(name.strip() for name in first.decode("utf-8", "replace").split(","))
    if is_header(names):
        if kind == "packed" and "features" not in names:
            raise ContractError(f"{source} has a wide header, not packed lines: leave out --layout packed.")
        _check_header(names, source)
        return Layout(names, first)
    if said:
        return Layout(said)
    if kind == "wide":
        raise ContractError(
            f"{source} has no header with form_id: wide input needs one, or --columns with {len(WIDE_COLUMNS)} names."
        )
    if kind == "auto" and not _looks_packed(head):
        raise ContractError(
            f"{source} starts with neither a wide header nor packed lines (form_id,submissions,views,f1-f2-...-f47); "
            f"its first line is {_excerpt(first)}. Name the layout with --layout, or check the file."
        )
    return Layout()


def is_header(names: tuple[str, ...]) -> bool:
    """Whether a line's fields are column names: form_id among them, or most of the contract's other names."""
    return "form_id" in names or sum(name in WIDE_COLUMNS for name in names) > len(WIDE_COLUMNS) // 2


def _check_header(names: tuple[str, ...], source: str) -> None:
    wanted = PACKED_COLUMNS if "features" in names else WIDE_COLUMNS
    doubled = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in wanted if name not in names]
    unknown = sorted(set(names) - set(wanted))
    for what, found in (("twice", doubled), ("missing", missing), ("unknown", unknown)):
        if found:
            shown = ", ".join(name or "(empty)" for name in found[:5]) + (", ..." if len(found) > 5 else "")
            raise ContractError(f"The header of {source} has columns that are {what}: {shown}. Correct the header.")


def said_columns(columns: str, kind: str) -> tuple[str, ...] | None:
    if not columns:
        return None
    names = tuple(name.strip() for name in columns.split(","))
    is_complete = any(sorted(order) == sorted(names) for order in (PACKED_COLUMNS, WIDE_COLUMNS))
    if not is_complete or kind not in ("auto", "packed" if "features" in names else "wide"):
        raise UsageError(
            f"--columns {columns!r} must name form_id, views, submissions and features once each, "
            "or form_id, views, submissions and feat_01 to feat_47, and agree with --layout."
        )
    return names


def _looks_packed(head: bytes) -> bool:
    """Whether one of the first lines has three commas and 46 dashes after them."""
    lines = head.split(b"\n")[:50]
    return any(line.count(b",") == 3 and line.count(b"-") >= len(FEATURES) - 1 for line in lines)


def _excerpt(line: bytes) -> str:
    text = line[:60].decode("utf-8", "backslashreplace")
    return repr(text + ("..." if len(line) > 60 else "")) if line else "blank"
