"""A batch of lines at a time: one regular expression takes the clean majority, `explain_line` the rest.

Vectorised on Arrow, so that a Spark task (mapInArrow) spends its time in compiled code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from jobs.transforms.explain import explain_line
from jobs.transforms.layout import Layout
from speed.contract import COUNT_PATTERN, FEATURE_PATTERN, FEATURES, FORM_ID_PATTERN
from speed.reasons import Form

# Of `forms`, the columns that a line itself says.
PARSED = pa.schema(
    [
        ("form_id", pa.string()),
        ("views", pa.int64()),
        ("submissions", pa.int64()),
        *[(name, pa.float64()) for name in FEATURES],
    ]
)


@dataclass(frozen=True)
class ParsedBatch:
    """What became of n lines. Every line is in exactly one of the two.

    accepted: (a,) rows with columns PARSED; accepted_at: (a,) positions of their lines.
    reasons: for each refused line, in order, why; rejected_at: (n - a,) positions of those lines.
    """

    accepted: pa.Table
    accepted_at: pa.Array
    reasons: list[list[str]]
    rejected_at: pa.Array


def parse_lines(lines: pa.Array, layout: Layout) -> ParsedBatch:
    """Parse binary `lines`, headers taken out before, which follow `layout`."""
    positions = pa.array(np.arange(len(lines)))
    is_clean = pc.match_substring_regex(lines, _clean_line(layout))
    clean = _parse_clean(lines.filter(is_clean), layout)
    clean_at = positions.filter(is_clean)
    in_order = pc.less_equal(clean["submissions"], clean["views"]).combine_chunks()
    exceeding_at = clean_at.filter(pc.invert(in_order))

    rest_at = positions.filter(pc.invert(is_clean))
    told = [explain_line(line, layout) for line in lines.filter(pc.invert(is_clean)).to_pylist()]
    is_line = pa.array([isinstance(result, Form) for result in told], pa.bool_())
    rescued = _rows([result for result in told if isinstance(result, Form)])

    reasons = [["submissions_exceed_views"]] * len(exceeding_at)
    reasons += [result for result in told if not isinstance(result, Form)]
    return ParsedBatch(
        accepted=pa.concat_tables([clean.filter(in_order), rescued]),
        accepted_at=pa.concat_arrays([clean_at.filter(in_order), rest_at.filter(is_line)]),
        reasons=reasons,
        rejected_at=pa.concat_arrays([exceeding_at, rest_at.filter(pc.invert(is_line))]),
    )


def with_completion_rate(forms: pa.Table) -> pa.Table:
    """Add completion_rate = submissions / views after `submissions`; null where there are no views."""
    views = pc.if_else(pc.equal(forms["views"], 0), None, forms["views"])
    rate = pc.divide(pc.cast(forms["submissions"], pa.float64()), pc.cast(views, pa.float64()))
    return forms.add_column(forms.column_names.index("submissions") + 1, "completion_rate", rate)


@cache
def _clean_line(layout: Layout) -> str:
    """What a line looks like that needs no second look; spaces after commas are as tuple dumps write them."""
    features = f"{FEATURE_PATTERN}(?:-{FEATURE_PATTERN}){{{len(FEATURES) - 1}}}"
    # Ids beyond ASCII are fine but need decoding: explain_line does that.
    patterns = {"form_id": FORM_ID_PATTERN.replace(r"\x7f", r"\x7f-\xff"), "features": features}
    patterns |= {"views": COUNT_PATTERN, "submissions": COUNT_PATTERN}
    line = ", ?".join(patterns.get(name, FEATURE_PATTERN) for name in layout.columns)
    return rf"^(?:{line}|\({line}\))\r?$" if layout.is_packed else rf"^{line}\r?$"


def _parse_clean(lines: pa.Array, layout: Layout) -> pa.Table:
    """Columns PARSED of lines that match `_clean_line`."""
    if not len(lines):
        return PARSED.empty_table()
    text = lines.buffers()[2].to_pybytes()
    for mark in (b" ", b"\r", b"(", b")"):
        # Clean lines hold these only around values, and most inputs hold none at all.
        if mark in text:
            lines = pc.replace_substring(lines, mark, b"")
    if not layout.is_packed:
        return _read_csv(_joined(lines), layout.columns).select(PARSED.names)
    fields = pc.split_pattern(lines, b",").flatten()
    columns = {name: fields[at :: len(layout.columns)] for at, name in enumerate(layout.columns)}
    features = _joined(columns["features"]).translate(bytes.maketrans(b"-", b","))
    counts = {name: columns[name].cast(pa.string()).cast(pa.int64()) for name in ("views", "submissions")}
    table = pa.table({"form_id": columns["form_id"].cast(pa.string()), **counts})
    for name, column in zip(FEATURES, _read_csv(features, FEATURES).columns, strict=True):
        table = table.append_column(name, column)
    return table


def _joined(lines: pa.Array) -> bytes:
    """The lines as one text, each ended by a newline."""
    nothing, newline = pa.scalar(b"", lines.type), pa.scalar(b"\n", lines.type)
    return pc.binary_join_element_wise(lines, nothing, newline).buffers()[2].to_pybytes()


def _read_csv(text: bytes, names: tuple[str, ...]) -> pa.Table:
    return csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(text) + 1),
        csv.ParseOptions(quote_char=False),
        csv.ConvertOptions(column_types=PARSED, null_values=[]),
    )


def _rows(parsed: list[Form]) -> pa.Table:
    columns = [
        [line.form_id for line in parsed],
        [line.views for line in parsed],
        [line.submissions for line in parsed],
        *([line.features[at] for line in parsed] for at in range(len(FEATURES))),
    ]
    return pa.table(columns, schema=PARSED)
