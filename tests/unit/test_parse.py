"""The two parsers must agree: the vectorised one is fast, `explain_line` is the truth, a naive loop is the judge."""

import math
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.transforms.explain import explain_line
from jobs.transforms.layout import PACKED_COLUMNS, WIDE_COLUMNS, Layout
from jobs.transforms.parse import parse_lines, with_completion_rate
from speed.contract import FEATURES, N_FEATURES
from speed.reasons import REASONS, Form

PACKED, WIDE = Layout(PACKED_COLUMNS), Layout(WIDE_COLUMNS)
ONES = "-".join(["1.0"] * N_FEATURES)

numbers = st.one_of(
    st.decimals(min_value=0, max_value=10**9, places=3).map(str),
    st.integers(min_value=0, max_value=10**20).map(str),
    st.sampled_from(
        ["0", "0.0", "12.", ".5", "-1.0", "1e-5", "2E3", "NaN", "inf", "", " 3.0", "1_0", "0x1", "1.0d", "٣"]
    ),
)
ids = st.one_of(st.from_regex(r"[A-Za-z0-9_.:-]{1,40}", fullmatch=True), st.text(max_size=12), st.just("x" * 300))
counts = st.one_of(
    st.integers(-3, 10**20).map(str), st.sampled_from(["", "1.5", "007", "+3", " 4", "9223372036854775807"])
)
junk = st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode))


@st.composite
def lines(draw: st.DrawFn, layout: Layout) -> bytes:
    """Mostly lines of the layout with values good and bad, some of them damaged."""
    clean = draw(st.booleans())
    values = ["1.0"] * N_FEATURES
    for at in draw(st.lists(st.integers(0, N_FEATURES - 1), max_size=3)):
        values[at] = draw(numbers)
    views = draw(st.integers(0, 1000)) if clean else draw(counts)
    submissions = draw(st.integers(0, views)) if isinstance(views, int) else draw(counts)
    named = {"form_id": draw(ids), "views": str(views), "submissions": str(submissions)}
    named |= {"features": "-".join(values)} | dict(zip(FEATURES, values, strict=True))
    text = draw(st.sampled_from([",", ", "])).join(named[name] for name in layout.columns)
    text = draw(st.sampled_from(["{}", "({})", "{}\r", "({})\r", "({}", "{} "])).format(text)
    return text.encode()


def naive(line: bytes, layout: Layout) -> tuple[str, int, int, list[float]] | None:
    """The contract in the plainest words: the values of a line, or None."""
    try:
        text = line.decode().removeprefix("\ufeff").strip(" \t\r")
    except UnicodeDecodeError:
        return None
    if layout.is_packed and text[:1] == "(" and text[-1:] == ")":
        text = text[1:-1]
    parts = [part.strip(" \t") for part in text.split(",")]
    if len(parts) != len(layout.columns):
        return None
    named = dict(zip(layout.columns, parts, strict=True))
    texts = [t.strip(" \t") for t in named["features"].split("-")] if layout.is_packed else parts[-N_FEATURES:]
    if len(texts) != N_FEATURES or not all(re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", t) for t in texts):
        return None
    if not all(re.fullmatch("[0-9]{1,30}", named[name]) for name in ("views", "submissions")):
        return None
    form_id, views, submissions = named["form_id"], int(named["views"]), int(named["submissions"])
    good_id = 0 < len(form_id.encode()) <= 256 and form_id.isprintable() and not set(form_id) & set(" ()'\",")
    if not good_id or not submissions <= views < 2**63 or any(math.isinf(float(t)) for t in texts):
        return None
    return form_id, views, submissions, [float(t) for t in texts]


@pytest.mark.parametrize("layout", [PACKED, WIDE], ids=["packed", "wide"])
@settings(max_examples=150)
@given(data=st.data())
def test_parse_lines_agrees_with_a_naive_loop(layout: Layout, data: st.DataObject) -> None:
    batch = data.draw(st.lists(st.one_of(lines(layout), lines(layout), junk), min_size=1, max_size=12))

    parsed = parse_lines(pa.array(batch, pa.binary()), layout)

    found: dict[int, object] = dict.fromkeys(parsed.rejected_at.to_pylist())
    for at, row in zip(parsed.accepted_at.to_pylist(), parsed.accepted.to_pylist(), strict=True):
        found[at] = (row["form_id"], row["views"], row["submissions"], [row[name] for name in FEATURES])
    assert found == {at: naive(line, layout) for at, line in enumerate(batch)}
    assert all(reasons and set(reasons) <= set(REASONS) for reasons in parsed.reasons)


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        ("", ["blank_line"]),
        ("\t \r", ["blank_line"]),
        (f"1,9,5,{ONES}", ["submissions_exceed_views"]),
        (f",x,-5,{ONES[4:]}", ["form_id_missing", "count_negative", "count_not_integer", "wrong_feature_count"]),
        (f"a b,1,99999999999999999999,{ONES}", ["form_id_invalid", "count_too_large"]),
        (f"1,1,5,{ONES.replace('1.0', '1e-5', 1)}", ["feature_scientific", "feature_not_number"][:1]),
        (f"1,1,5,{ONES.replace('1.0', '-1.0', 1)}", ["feature_missing"]),
        (f"1,1,5,{ONES.replace('1.0', 'nan', 1)}", ["feature_not_finite"]),
        (f"1,1,5,{ONES.replace('1.0', '9' * 400, 1)}", ["feature_not_finite"]),
        (f"1,1,5,{ONES.replace('1.0', 'x', 1)}", ["feature_not_number"]),
        (f"((1,1,5,{ONES}))", ["wrong_parentheses"]),
        (f"1;1;5;{ONES}", ["wrong_field_count"]),
        (f"1,{'9' * 5000},5,{ONES}", ["count_too_large"]),
    ],
)
def test_explain_line_names_every_reason(line: str, reasons: list[str]) -> None:
    assert explain_line(line.encode(), PACKED) == reasons


def test_explain_line_takes_what_clean_lines_may_wear() -> None:
    bare = explain_line(f"id-1,1,5,{ONES}".encode(), PACKED)

    assert isinstance(bare, Form)
    for dressed in (f"(id-1,1,5,{ONES})\r", f"\ufeffid-1, 1, 5, {ONES}", f"(id-1, 1, 5, {ONES})"):
        assert explain_line(dressed.encode(), PACKED) == bare


def test_completion_rate_is_null_without_views() -> None:
    batch = pa.array([f"a,0,0,{ONES}".encode(), f"b,1,4,{ONES}".encode()], pa.binary())

    forms = with_completion_rate(parse_lines(batch, PACKED).accepted)

    assert forms["completion_rate"].to_pylist() == [None, 0.25]
