"""Which write the rows of a version come from, as a table's history says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.edge.lineage import History


def commit(number: int, operation: str, **parameters: Any) -> dict[str, Any]:
    return {
        "version": number,
        "operation": operation,
        "operationParameters": parameters,
        "timestamp": number * 1000,
    }


HISTORY = History(
    [
        commit(9, "RESTORE", version=2),  # as Spark writes it
        commit(8, "RESTORE", version=None, timestamp="2026-11-20 02:00:00"),
        commit(7, "VACUUM END", status="COMPLETED"),
        commit(6, "RESTORE", version="4"),  # as delta-rs writes it
        commit(5, "DELETE", predicate="[]"),
        commit(4, "OPTIMIZE", predicate="[]"),
        commit(3, "WRITE", mode="Overwrite"),
    ]
)


@pytest.mark.parametrize(
    ("version", "write", "newest"),
    [
        (1, 1, 1),  # before the history: the ledger must know it
        (2, 2, 9),
        (3, 3, 7),
        (4, 3, 7),
        (5, 5, 5),
        (6, 3, 7),
        (7, 3, 7),
        (8, 8, 8),  # nobody says which version that was
        (9, 2, 9),
    ],
)
def test_a_version_has_the_rows_of_one_write(version: int, write: int, newest: int) -> None:
    assert HISTORY.write_of(version) == write
    assert HISTORY.newest_of(version) == newest


@pytest.mark.parametrize(("version", "second"), [(1, 3), (2, None), (3, 8), (4, 8), (5, 6), (8, 9), (9, None)])
def test_rows_are_replaced_when_their_newest_version_is(version: int, second: int | None) -> None:
    assert HISTORY.replaced_at(version) == (second and datetime.fromtimestamp(second, UTC))


def test_an_unknown_operation_writes_rows() -> None:
    assert History([commit(1, "WRITE"), commit(2, "SOMETHING NEW")]).write_of(2) == 2
