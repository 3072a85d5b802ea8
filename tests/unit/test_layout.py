"""What the first lines of a file say, and what is said to the user where they say nothing."""

import pytest

from jobs.errors import ContractError, UsageError
from jobs.transforms.layout import PACKED_COLUMNS, WIDE_COLUMNS, Layout, detect_layout
from speed.contract import N_FEATURES

PACKED_LINE = b"1,2,5," + b"-".join([b"0.0"] * N_FEATURES) + b"\n"
HEADER = ",".join(WIDE_COLUMNS)


def test_detect_layout_tells_packed_from_wide() -> None:
    shuffled = ",".join(reversed(WIDE_COLUMNS))

    assert detect_layout(PACKED_LINE, "x", "auto", "") == Layout(PACKED_COLUMNS)
    assert detect_layout(b"(" + PACKED_LINE[:-1] + b")\r\n", "x", "auto", "") == Layout(PACKED_COLUMNS)
    assert detect_layout(b"\xef\xbb\xbf" + f"{shuffled}\r\n".encode(), "x", "auto", "") == Layout(
        tuple(reversed(WIDE_COLUMNS)), shuffled.encode()
    )


def test_detect_layout_takes_the_order_that_is_said() -> None:
    said = "form_id,views,submissions,features"

    assert detect_layout(PACKED_LINE, "x", "packed", said).columns == tuple(said.split(","))
    with pytest.raises(UsageError, match="form_id"):
        detect_layout(PACKED_LINE, "x", "packed", "form_id,views")
    with pytest.raises(UsageError, match="agree with --layout"):
        detect_layout(PACKED_LINE, "x", "wide", said)


@pytest.mark.parametrize(
    ("head", "kind", "sentence"),
    [
        (HEADER.replace("feat_07", "feat_06"), "auto", "columns that are twice: feat_06"),
        (HEADER.replace(",feat_07", ""), "auto", "columns that are missing: feat_07"),
        (HEADER.replace("form_id", "id"), "auto", "columns that are missing: form_id"),
        (HEADER + ",colour", "auto", "columns that are unknown: colour"),
        ("1;2;3\n4;5;6\n", "auto", "neither a wide header nor packed lines"),
        ("PK\x03\x04\0\0", "auto", "is not text"),
        (PACKED_LINE.decode(), "wide", "has no header"),
        (HEADER, "packed", "has a wide header"),
    ],
)
def test_detect_layout_says_what_is_wrong(head: str, kind: str, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        detect_layout(head.encode(), "dump.csv", kind, "")  # type: ignore[arg-type]
