"""From which loss of forms on a run warns, and over which it stops."""

from __future__ import annotations

import pytest

from jobs.errors import ContractError
from jobs.settings import Settings
from jobs.transforms.contract import check_expected
from jobs.transforms.drift import check_rows, row_warning


@pytest.mark.parametrize(
    ("rows", "live", "told", "stopped"),
    [
        (100, None, False, False),
        (0, 0, False, False),
        (101, 100, False, False),
        (100, 100, False, False),
        (99, 100, False, False),
        (98, 100, True, False),
        (147, 150, True, False),  # a fraction that no float holds
        (90, 100, True, False),
        (27, 30, True, False),
        (89, 100, True, True),
        (0, 1, True, True),
    ],
)
def test_row_drop_by_default(rows: int, live: int | None, told: bool, stopped: bool) -> None:
    settings = Settings()
    assert bool(row_warning(rows, live, settings.warn_row_drop)) == told
    try:
        check_rows(rows, live, settings.max_row_drop)
    except ContractError:
        assert stopped
    else:
        assert not stopped


def test_row_drop_at_its_ends() -> None:
    check_rows(0, 100, 1)
    with pytest.raises(ContractError, match=r"99 forms, 1\.0% fewer than the 100"):
        check_rows(99, 100, 0)
    assert row_warning(100, 100, 0) == ""
    assert row_warning(99, 100, 0) == "There are 99 forms, 1.0% fewer than the 100 that were live before."


@pytest.mark.parametrize(("read", "expected"), [(5, None), (5, 5)])
def test_expected_lines_are_there(read: int, expected: int | None) -> None:
    check_expected(read, expected)


@pytest.mark.parametrize("read", [4, 6])
def test_lines_that_were_not_expected(read: int) -> None:
    with pytest.raises(ContractError, match=rf"{read} lines of data, and expected_rows is 5\..* EXPECTED_ROWS"):
        check_expected(read, 5)
