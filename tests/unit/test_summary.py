"""What a run's summary says of its candidates."""

from __future__ import annotations

from datetime import UTC, datetime

from jobs.edge.ledger import SUCCEEDED, Entry, Ledger
from jobs.edge.models import Models, ModelVersion
from jobs.edge.summary import summarize
from jobs.edge.tables import Tables

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)


def trained(run_id: str, family: str, mae: float, uri: str = "") -> ModelVersion:
    facts = {"params": {}, "metrics": {"mae": mae, "r2": 0.0}, "data_version": 0, "artifact_sha256": ""}
    state = "candidate" if uri else "refused"
    return ModelVersion(
        f"{run_id}-{family}", run_id, family, **facts, artifact_uri=uri, state=state, reason="", created_at=NOW
    )


def test_a_better_figure_that_was_not_chosen_is_explained(lake: str) -> None:
    """A family is chosen on other forms than those that judge, so the table's first may be another."""
    tables = Tables(lake)
    for run_id in ("r1", "r2"):
        Ledger(tables).append(Entry(run_id, "train", SUCCEEDED, NOW, NOW, "", "local"))
    rows = [trained("r1", "gbt", 0.17, "here"), trained("r1", "forest", 0.18)]
    rows += [trained("r2", "gbt", 0.17, "here"), trained("r2", "forest", 0.16)]
    Models(tables).save(rows)

    first, second = (summarize(tables, run_id) for run_id in ("r1", "r2"))
    assert [line.family for line in second.candidates] == ["forest", "gbt"]
    assert first.candidates_note == ""
    assert second.candidates_note.startswith("gbt was chosen, on other forms")
