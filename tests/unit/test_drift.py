"""Facts of the input, against sums of Python's own that do not round, and what counts as moved."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from jobs.report.drift import drift_between
from jobs.transforms.drift import input_facts, moved
from speed.contract import FEATURES

SIZES = (1, 7, 1_000, 0, 64, 333, 2)


def columns(seed=0):
    """Values of all features, (47, n): epoch seconds, a constant, many zeros, prices, huge and tiny ones."""
    random, n = np.random.default_rng(seed), sum(SIZES)
    kinds = [
        1.7e9 + random.normal(0, 1, n),
        np.full(n, 0.1),
        np.full(n, 1e17 + 2),
        random.poisson(0.1, n).astype(float),
        random.lognormal(3, 2, n),
        1e-9 + 1e-15 * random.random(n),
        np.zeros(n),
    ]
    return np.stack([kinds[at % len(kinds)] for at in range(len(FEATURES))])


def batches_of(values, sizes=SIZES):
    ends = np.cumsum(sizes)
    parts = [values[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [pa.record_batch(list(part), names=list(FEATURES)) for part in parts]


def exact(values):
    """Mean and population standard deviation, of fractions: nothing is rounded before the end."""
    parts = [Fraction(float(value)) for value in values]
    mean = sum(parts) / len(parts)
    return float(mean), math.sqrt(sum((part - mean) ** 2 for part in parts) / len(parts))


def test_input_facts_equal_sums_that_do_not_round():
    values = columns()
    facts = input_facts(batches_of(values), read=2_000, rejected=20)
    assert facts["rows", ""] == sum(SIZES)
    assert facts["share_rejected", ""] == 0.01
    for name, row in zip(FEATURES, values, strict=True):
        mean, deviation = exact(row)
        assert facts["mean", name] == pytest.approx(mean, rel=1e-14)
        assert facts["std", name] == pytest.approx(deviation, rel=1e-7)
        assert facts["zero_share", name] == np.count_nonzero(row == 0) / len(row)
        assert (facts["min", name], facts["max", name]) == (row.min(), row.max())


def test_input_facts_of_a_constant_have_no_deviation_and_the_constant_for_a_mean():
    facts = input_facts(batches_of(columns()), 0, 0)
    for name, constant in ((FEATURES[1], 0.1), (FEATURES[2], 1e17 + 2), (FEATURES[6], 0.0)):
        assert (facts["mean", name], facts["std", name]) == (constant, 0.0)


def test_input_facts_of_one_row_and_of_none():
    one = input_facts(batches_of(columns()[:, :1], (0, 1, 0)), 1, 0)
    assert one["mean", FEATURES[4]] == columns()[4, 0] and one["std", FEATURES[4]] == 0
    assert input_facts(batches_of(columns()[:, :0], (0,)), 0, 0) == {("rows", ""): 0.0, ("share_rejected", ""): 0.0}


def test_input_facts_of_the_largest_floats_stay_numbers():
    facts = input_facts(batches_of(np.full((len(FEATURES), 20), 1e308), (10, 10)), 20, 0)
    assert facts["mean", FEATURES[0]] == 1e308 and facts["std", FEATURES[0]] == 0


def test_moved_says_nothing_of_the_same_forms_in_another_order():
    """Of files read in another order, batches differ in order and in size; sums then differ in their last digits."""
    values, random = columns(), np.random.default_rng(1)
    before = input_facts(batches_of(values), 0, 0)
    for _ in range(20):
        shuffled = values[:, random.permutation(values.shape[1])]
        now = input_facts(batches_of(shuffled, random.permutation(SIZES)), 0, 0)
        assert moved(now, before) == []
        told = drift_between(now, before, "night-1")
        assert told is not None and all(abs(each.shift) < 0.001 for each in told.shifts)


def test_moved_tolerates_the_rounding_of_a_mean_without_any_deviation():
    """As an earlier version left it: values about 1.7e9 had no deviation, and the last digit of a mean is luck."""
    before = input_facts(batches_of(columns()), 0, 0) | {("std", FEATURES[0]): 0.0}
    now = before | {("mean", FEATURES[0]): math.nextafter(before["mean", FEATURES[0]], math.inf)}
    assert moved(now, before) == []
    told = drift_between(now, before, "night-1")
    assert told is not None and all(each.shift == 0 for each in told.shifts)


def test_moved_sees_half_a_deviation_at_large_values_and_says_it_with_enough_digits():
    values = columns()
    before = input_facts(batches_of(values), 0, 0)
    values[0] += 0.5
    (sentence,) = moved(input_facts(batches_of(values), 0, 0), before)
    words = sentence.split()
    assert words[:2] == [f"{FEATURES[0]}:", "mean"]
    assert 0 < float(words[4]) - float(words[2]) <= 1


@pytest.mark.parametrize(
    ("fact", "now", "words"),
    [
        ("mean", 0.3, "mean 0.1 to 0.3"),
        ("zero_share", 0.06, "zeros 0% to 6%"),
        ("max", 11.0, "maximum 0.1 to 11"),
    ],
)
def test_moved_names_the_feature_and_both_values(fact, now, words):
    before = input_facts(batches_of(columns()), 0, 0)
    assert moved(before | {(fact, FEATURES[1]): now}, before) == [f"{FEATURES[1]}: {words}"]
    assert moved(before, {}) == []
