"""The page of a run: whole without a network, safe with hostile input, and honest about what it lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from jobs.edge.ledger import FAILED, SUCCEEDED
from jobs.edge.models import ModelVersion
from jobs.edge.summary import CandidateLine, StepLine, Summary
from jobs.model.evaluation import BucketCoverage, Coverage, Parity, evaluate_all
from jobs.model.importance import Importance
from jobs.model.slices import Judged as Forms
from jobs.report.facts import Facts, Judged, Refused
from jobs.report.page import render
from jobs.report.verdict import BAD, GOOD, LOOK, changes, verdict

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<script>alert('&')</script>"


class Page(HTMLParser):
    """Elements that are open, ids, texts, and every attribute that could fetch something."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.tags, self.fetches, self.text = [], [], set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.fetches += [value for name, value in attrs if name in {"src", "href", "srcset", "data", "xlink:href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@cache
def evaluation():
    random = np.random.default_rng(0)
    views = random.integers(1, 500, 3_000).astype(float)
    rate = random.beta(3, 3, 3_000)
    actual = random.binomial(views.astype(int), rate) / views
    forms = Forms(views, actual, rate, np.clip(rate - 0.3, 0, 1), np.clip(rate + 0.3, 0, 1))
    found = evaluate_all(forms, {"baseline": np.full(3_000, 0.5), "gbt": rate}, "gbt", 0.9)
    return msgspec.structs.replace(
        found,
        importance=[Importance("feat_07", 0.01, 0.005, 0.015), Importance("feat_01", -0.001, -0.002, 0.001)],
        parity=Parity(rows=600, largest=1e-15, tolerance=1e-9),
        coverage=Coverage(0.9, 0.901, [BucketCoverage("1+", 3_000, 0.901, 0.4)]),
    )


def run(run_id="night-2", **given):
    facts = {
        "run_id": run_id,
        "status": SUCCEEDED,
        "lake": "lake",
        "counts": {"read": 3_100, "accepted": 3_090, "rejected": 10, "duplicates": 0, "forms": 3_090},
        "reasons": {"blank_line": 10},
        "candidates": [CandidateLine("gbt", f"{run_id}-gbt", 0.1, 0.2, 0.05, "champion", "")],
        "champion": f"{run_id}-gbt",
        "champion_reason": "Better.",
        "warning": "",
        "predictions": "lake/predictions",
        "scored": 3_090,
        "generation": f"{run_id}-v1",
        "steps": [StepLine("train", SUCCEEDED, 9.0, "gbt is best"), StepLine("publish", SUCCEEDED, 0.1, HOSTILE)],
        "seconds": 60.0,
    }
    return Summary(**(facts | given))


def model(run_id="night-2", mae=0.1):
    version = ModelVersion(
        f"{run_id}-gbt", run_id, "gbt", {}, {"mae": mae, "r2": 0.2}, 1, "uri", "sha", "champion", "Better.", NOW
    )
    return Judged(version, evaluation=evaluation())


def facts(**given):
    return Facts(summary=run(), entries=[], made_at=NOW, live=model(), challenger=model(), **given)


def test_a_page_needs_nothing_else_and_lets_nothing_in():
    told = facts(
        before=run("night-1"),
        live_before=model("night-1", 0.11),
        rival={"difference": -0.01, "lower": -0.02, "upper": -0.001},
        refused=[Refused(HOSTILE, ["not_47_features"], HOSTILE), Refused("", ["blank_line"], "dump.csv")],
        notes=[HOSTILE],
    )
    html = render(told)
    page = Page(html)
    assert page.open == [] and page.fetches == [] and "script" not in page.tags
    assert "url(" not in html and "@import" not in html
    assert len(page.ids) == len(set(page.ids))
    assert page.text.count(HOSTILE) == 4  # a message, a line, its file, a note
    assert "with a 95 % interval of" in page.text  # as runs of earlier versions had it
    assert "with a 99.8 % interval of" in render(replace(told, rival=told.rival | {"confidence": 0.998}))
    for words in ("noise floor", "Reliability", "feat_07", "gbt vs baseline", "an empty line", "night-1-gbt"):
        assert words in page.text, words


def test_a_page_of_a_run_that_left_nothing_says_so():
    empty = run(
        counts={}, reasons={}, candidates=[], champion=None, champion_reason="", scored=0, generation=None,
        steps=[StepLine("prepare", FAILED, 1.0, "Half of the forms are gone.")],
    )  # fmt: skip
    page = Page(render(Facts(summary=empty, entries=[], made_at=NOW)))
    for words in ("Failed at prepare: Half of the forms are gone.", "No model was trained", "No model is live yet"):
        assert words in page.text, words


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({}, GOOD, ""),
        ({"summary": run(counts={"read": 100, "rejected": 2})}, LOOK, "2.0% of the lines were rejected"),
        ({"trained_at": NOW - timedelta(days=15)}, LOOK, "No model was trained for 15 days."),
        # Challengers are trained, and the champion stays before them: its age is no concern.
        ({"made_at": NOW + timedelta(days=90), "trained_at": NOW + timedelta(days=89)}, GOOD, ""),
        ({"notes": ["gone"]}, LOOK, "Parts of this report are missing"),
        ({"lost": "There are 95 forms, 5.0% fewer."}, LOOK, "There are 95 forms, 5.0% fewer."),
        ({"summary": run(scored=0)}, BAD, "Nothing was scored"),
    ],
)
def test_verdict(change, kind, words):
    found = verdict(replace(facts(), **change))
    assert found.kind == kind
    assert words in " ".join([found.line, *found.concerns])


def test_verdict_looks_at_intervals_and_parity():
    off = msgspec.structs.replace(
        evaluation(),
        coverage=Coverage(
            0.9, 0.88, [BucketCoverage("1-9", 10_000, 0.92, 0.4), BucketCoverage("10+", 20_000, 0.85, 0.4)]
        ),
        parity=Parity(rows=10, largest=1e-3, tolerance=1e-9),
    )
    found = verdict(replace(facts(), live=replace(model(), evaluation=off)))
    assert found.kind == LOOK
    assert found.concerns == [
        "Intervals hold 88.0% of the rates, where 90% are promised.",
        "Intervals are off by over 3 points for forms with 10+ views.",
        "The portable model differs from its library by 0.001.",
    ]


def test_changes_since_the_last_run():
    found = changes(facts(before=run("night-1", seconds=50.0), live_before=model("night-1", 0.11)))
    told = {change.what: (change.before, change.now, change.difference) for change in found}
    assert told["Live model"] == ("night-1-gbt", "night-2-gbt", "replaced")
    assert told["MAE on held-out forms"] == ("0.11000", "0.10000", "-0.01000")
    assert told["Forms"] == ("3,090", "3,090", "the same")
    assert told["Seconds"] == ("50", "60", "+10")
    theirs = model("night-1", 0.11)
    stays = changes(replace(facts(before=run("night-1", seconds=50.0), live_before=theirs), live=theirs))
    assert [change.what for change in stays if change.what.startswith(("Live", "MAE"))] == ["Live model"]
    assert changes(facts()) == []
