"""What is asked of a batch of lines before one of them is parsed. Pure."""

from __future__ import annotations

from collections import Counter
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def path_of_source(source: str) -> str:
    """A file as people name it, of the URI by which Spark names it."""
    path = unquote(source).removeprefix("file:").replace("///", "/")
    return path.replace("s3a://", "s3://", 1) if path.startswith("s3a://") else path


def lines_by_file(sources: pa.Array) -> Counter[str]:
    """How many lines come from each file, by path. sources: the URI of each line's file."""
    counted = pc.value_counts(sources).to_pylist()
    return Counter({path_of_source(each["values"]): each["counts"] for each in counted})


def is_in(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `values` stand in sorted `wanted`: faster than np.isin, which would sort `wanted` again each time."""
    if not len(wanted):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return np.asarray(wanted[at] == values)
