"""The table of model versions, as a run that trains twice leaves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs.edge.models import ARCHIVED, CANDIDATE, CHAMPION, Models, ModelVersion
from jobs.edge.tables import Tables

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)


def model(version: str, state: str, at: datetime) -> ModelVersion:
    return ModelVersion(version, "night", "gbt", {}, {"mae": 0.1}, 1, "file:///m", "", state, "", at)


def test_of_run_is_what_was_trained_last_and_the_champion_of_before_stays_until_it_gives_way(lake: str) -> None:
    models = Models(Tables(lake))
    models.save([model("night-gbt", CHAMPION, NOW)])
    models.save([model("night.2-gbt", CANDIDATE, NOW + timedelta(hours=1))])
    assert [each.version for each in models.of_run("night")] == ["night.2-gbt"]
    assert models.champion().version == "night-gbt"
    before = Tables(lake).version("model_versions").version
    models.promote("night.2-gbt", "better")
    assert {each.version: each.state for each in models.all()} == {"night-gbt": ARCHIVED, "night.2-gbt": CHAMPION}
    assert models.champion(before).version == "night-gbt"  # a step reads the table as its run left it
