from __future__ import annotations

import hashlib

import pytest

from jobs.transforms.label import with_label
from jobs.transforms.split import repeatable, sampled, with_side

IDS = [str(i) for i in range(1, 3_000)] + ["a", "ä", "form-1", "🙂"]


@pytest.fixture(scope="module")
def forms(spark):
    return spark.createDataFrame([(form_id,) for form_id in IDS], "form_id string")


def draw(form_id: str, block: int) -> float:
    return int(hashlib.md5(form_id.encode()).hexdigest()[8 * block : 8 * block + 8], 16) / 2**32  # noqa: S324


def side_of(form_id: str) -> str:
    at = draw(form_id, 0)
    return "holdout" if at < 0.2 else "calibration" if at < 0.3 else "conformal" if at < 0.4 else "train"


def test_with_side_puts_a_form_where_python_alone_would(forms):
    """The side depends on nothing but the id: not on the order, the partitions, or the other forms."""
    for frame in (forms, forms.repartition(7).orderBy("form_id").limit(100)):
        sides = {row.form_id: row.side for row in with_side(frame).collect()}
        assert sides == {form_id: side_of(form_id) for form_id in sides}


def test_with_side_gives_each_side_its_share(forms):
    shares = {row["side"]: row["count"] / len(IDS) for row in with_side(forms).groupBy("side").count().collect()}
    assert shares == pytest.approx({"holdout": 0.2, "calibration": 0.1, "conformal": 0.1, "train": 0.6}, abs=0.03)


def test_sampled_is_independent_of_the_side(forms):
    """The same bits for both would leave a fit with no rows, or a holdout with one kind of form."""
    split = with_side(forms)
    for side in ("holdout", "train"):
        rows = split.where(f"side = '{side}'")
        assert sampled(rows, 0.3).count() / rows.count() == pytest.approx(0.3, abs=0.06)


def test_repeatable_gives_the_same_partitions_whatever_the_files(forms):
    first, second = (repeatable(forms.repartition(n), 3).rdd.glom().collect() for n in (2, 5))
    assert first == second


def test_with_label_is_null_at_0_views_and_else_the_rate(spark):
    forms = spark.createDataFrame([(0, 0), (3, 1), (10, 10), (7, 0)], "views long, submissions long")
    assert [row.label for row in with_label(forms).collect()] == [None, pytest.approx(1 / 3, abs=2**-17), 1, 0]
