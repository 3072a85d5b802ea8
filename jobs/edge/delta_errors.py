"""What delta-rs and Arrow say of a table's files: gone or damaged is one thing, unreadable for now another."""

from __future__ import annotations

import pyarrow as pa
from deltalake.exceptions import DeltaError

READ_ERRORS = (DeltaError, OSError, pa.ArrowInvalid)


def is_lost(error: Exception) -> bool:
    """Whether one of READ_ERRORS says that files are gone or damaged. Else nobody knows: the store is out of reach.

    delta-rs makes OSError of what a store says, and FileNotFoundError of a file that is not there; the engine behind
    `Tables.query` makes ArrowInvalid of either.
    """
    if isinstance(error, OSError):
        return isinstance(error, FileNotFoundError)
    return "Object Store error" not in str(error) or "not found" in str(error)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
