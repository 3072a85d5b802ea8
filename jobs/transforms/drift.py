"""Facts of a run's input, and what moved since the run before. Statistical tests come later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from jobs.errors import ContractError
from speed.contract import FEATURES

Facts = dict[tuple[str, str], float]
"""(name, slice) -> value, the slice a feature's name or "" for the whole."""

# What counts as moved: a tenth of a standard deviation, five points of zeros, ten times the largest value seen.
MEAN_SHIFT, ZERO_SHIFT, RANGE_GROWTH = 0.1, 0.05, 10.0
REJECTED_SHIFT = 0.02


def input_facts(batches: Iterable[pa.RecordBatch], read: int, rejected: int) -> Facts:
    """Row count, share rejected, and each feature's mean, standard deviation, zero share, minimum and maximum.

    batches: of `forms`, with at least its features. read, rejected: lines of the run's input.
    """
    rows = 0
    zero = np.zeros(len(FEATURES))
    total, squares, zeros = zero.copy(), zero.copy(), zero.copy()
    low, high = zero + np.inf, zero - np.inf
    for batch in batches:
        if not batch.num_rows:
            continue
        rows += batch.num_rows
        for at, name in enumerate(FEATURES):
            values = batch[name].to_numpy()
            total[at] += values.sum()
            squares[at] += np.dot(values, values)
            zeros[at] += np.count_nonzero(values == 0)
            low[at], high[at] = min(low[at], values.min()), max(high[at], values.max())
    facts: Facts = {("rows", ""): float(rows), ("share_rejected", ""): rejected / read if read else 0.0}
    if rows:
        mean = total / rows
        deviation = np.sqrt(np.maximum(squares / rows - mean**2, 0))
        named = {"mean": mean, "std": deviation, "zero_share": zeros / rows, "min": low, "max": high}
        facts |= {
            (name, feature): float(value)
            for name, values in named.items()
            for feature, value in zip(FEATURES, values, strict=True)
        }
    return facts


def moved(now: Facts, before: Mapping[tuple[str, str], float]) -> list[str]:
    """Sentences about what moved since `before`; none without a run before."""
    if not before:
        return []
    said = []
    change = now["share_rejected", ""] - before.get(("share_rejected", ""), 0.0)
    if abs(change) > REJECTED_SHIFT:
        said.append(f"share of lines rejected {change:+.1%}")
    for feature in FEATURES:
        if ("mean", feature) not in before or ("mean", feature) not in now:
            continue
        shift = now["mean", feature] - before["mean", feature]
        if abs(shift) > MEAN_SHIFT * before["std", feature] + 1e-12:
            said.append(f"{feature}: mean {before['mean', feature]:.3g} to {now['mean', feature]:.3g}")
        elif abs(now["zero_share", feature] - before["zero_share", feature]) > ZERO_SHIFT:
            said.append(f"{feature}: zeros {before['zero_share', feature]:.0%} to {now['zero_share', feature]:.0%}")
        elif now["max", feature] > RANGE_GROWTH * max(before["max", feature], 1.0):
            said.append(f"{feature}: maximum {before['max', feature]:.3g} to {now['max', feature]:.3g}")
    return said


def check_rows(rows: int, before: int | None, max_row_drop: float) -> None:
    """Raise ContractError where the forms are so many fewer than last time that the dump looks cut."""
    if before and rows < before * (1 - max_row_drop):
        raise ContractError(
            f"There are {rows:,} forms, {1 - rows / before:.0%} fewer than the {before:,} of the last run: the dump "
            "looks cut. No model was trained and the old predictions stay live. Ingest the whole dump, or, "
            "if the forms are really gone, run again with max_row_drop at 1 (`make run MAX_ROW_DROP=1`)."
        )
