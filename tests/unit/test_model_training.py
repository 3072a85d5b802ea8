from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.edge.artifacts import read_manifest
from jobs.errors import FormcastError
from jobs.model.manifest import DataWindow, Manifest, Split, encoded
from jobs.model.training import fit_share, reason_lost

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_fit_share_never_falls_under_the_rows_that_are_fitted_whole():
    """Growing past the limit must not throw rows away: 100,001 forms are not fitted on 30,000."""
    assert fit_share(50_000, 0.3, 100_000) == 1
    assert fit_share(200_000, 0.3, 100_000) == 0.5
    assert fit_share(1_000_000, 0.3, 100_000) == 0.3


def test_reason_lost_compares_with_the_best():
    scores = {"baseline": {"mae": 0.1}, "linear": {"mae": 0.3}, "gbt": {"mae": 0.2}}
    loss = {"linear": 0.6, "gbt": 0.5}
    lost = "Lost to gbt: binomial deviance 0.60000 against 0.50000 on the forms that choose."
    assert reason_lost("linear", "gbt", scores, loss, "deviance") == lost
    assert reason_lost("baseline", "gbt", scores, loss, "mae").startswith("The yardstick, no contender")
    assert reason_lost("gbt", "gbt", scores, loss, "mae") == ""


def a_manifest(**changes):
    window = DataWindow(table_version=1, forms=10, first_ingested_at=NOW, last_ingested_at=NOW)
    split = Split(rule="", train_forms=8, holdout_forms=2, fit_fraction=1, fit_forms=8)
    facts = {"run_id": "r", "data": window, "split": split, "seed": 1, "code_version": "", "created_at": NOW}
    return Manifest(champion=None, **(facts | changes))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1", encoded(a_manifest(features=("feat_01",)))],
    ids=["empty", "bare", "broken", "other"],
)
def test_read_manifest_refuses_what_it_cannot_believe(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(FormcastError, match="train again"):
        read_manifest(tmp_path)


def test_read_manifest_reads_what_was_written(tmp_path):
    (tmp_path / "manifest.json").write_bytes(encoded(a_manifest()))
    assert read_manifest(tmp_path) == a_manifest()
