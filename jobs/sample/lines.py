"""Lines as text: packed (`form_id,submissions,views,f1-...-f47`) or wide (with a header)."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.sample.broken import broken_line
from jobs.sample.chunks import BROKEN, Chunk
from jobs.sample.facts import published
from speed.contract import FEATURES

Layout = Literal["packed", "wide"]

_DECIMALS = pa.array([f"{count}.0" for count in range(max(f.max for f in published().features) + 1)])


def header(layout: Layout) -> bytes:
    """The first line of a file: none in the packed layout."""
    if layout == "packed":
        return b""
    return (",".join(["form_id", "views", "submissions", *FEATURES]) + "\n").encode()


def to_bytes(chunk: Chunk, layout: Layout, broken_before: int) -> memoryview:
    """The chunk's lines with their line feeds.

    broken_before: how many broken lines earlier chunks had; broken lines take turns in kind.
    """
    features = [_DECIMALS.take(pa.array(chunk.vectors[:, j])) for j in range(len(FEATURES))]
    packed = layout == "packed"
    joined = pc.binary_join_element_wise(*features, "-" if packed else ",")
    counts = [chunk.submissions, chunk.views] if packed else [chunk.views, chunk.submissions]
    heads = [pa.array(numbers).cast(pa.string()) for numbers in (chunk.form_id, *counts)]
    lines = pc.binary_join_element_wise(*heads, joined, ",")

    broken = chunk.kind == BROKEN
    if broken.any():
        texts = [broken_line(line, packed, broken_before + k) for k, line in enumerate(_texts(lines, broken))]
        lines = pc.replace_with_mask(lines, pa.array(broken), pa.array(texts, pa.string()))
    return _contiguous(pc.binary_join_element_wise(lines, "", "\n"))


def _texts(lines: pa.Array, wanted: np.ndarray) -> list[str]:
    texts: list[str] = lines.filter(pa.array(wanted)).to_pylist()
    return texts


def _contiguous(lines: pa.Array) -> memoryview:
    """The text of all lines, one after the other, as Arrow holds it: nothing is copied."""
    _, offsets, text = lines.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(text)[int(ends[0]) : int(ends[-1])]
