"""What a payload says: one set of checks for lines and JSON, and entries scored as one form alone would be."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from generations import many_forms, publish_generation
from hypothesis import given
from hypothesis import strategies as st

from jobs.transforms.explain import explain_line
from jobs.transforms.layout import Layout
from speed.contract import N_FEATURES
from speed.events import Event, entries_of, read_event
from speed.generations import Generations
from speed.reasons import REASONS, Form
from speed.stores.records import unpack_features

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VALUES = [0.0, 1.5, 1e-7, *(float(at) for at in range(N_FEATURES - 3))]
PACKED = "0-1.5-.0000001-" + "-".join(f"{at}" for at in range(N_FEATURES - 3))
FORM = Form("f-1", 5, 1, tuple(VALUES))


def told(**changes: object) -> bytes:
    """A good event as JSON, with changes; None takes a field out."""
    fields = {"form_id": "f-1", "views": 5, "submissions": 1, "features": VALUES} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        f"f-1,1,5,{PACKED}".encode(),
        f"\ufeff(f-1, 1, 5, {PACKED})\r\n".encode(),
        told(),
        told(features=PACKED),
        told(views="5", features=[str(value) for value in (0, 1.5, ".0000001", *range(N_FEATURES - 3))]),
        told(features=[-0.0, *VALUES[1:]], colour="blue"),
    ],
)
def test_read_event_takes_a_form_in_every_shape(payload: bytes) -> None:
    assert read_event(payload, "t-1", NOW) == Event(FORM, "t-1", NOW)


def test_read_event_believes_no_clock_that_is_ahead() -> None:
    hour = timedelta(hours=1)

    for said, meant in ((NOW - hour, NOW - hour), (NOW + 1000 * hour, NOW)):
        assert read_event(told(event_id="own", observed_at=said.isoformat()), "t-1", NOW) == Event(FORM, "own", meant)
    assert read_event(told(observed_at="2026-11-24T12:30:00+01:00"), "t-1", NOW) == Event(FORM, "t-1", NOW - hour / 2)


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        (b"", ["blank_line"]),
        (b"\xff\xfe", ["not_utf8"]),
        (b"f-1,1,5", ["wrong_field_count"]),
        (f"(f-1,1,5,{PACKED}".encode(), ["wrong_parentheses"]),
        (f"f-1,6,5,{PACKED}".encode(), ["submissions_exceed_views"]),
        (b"{", ["event_invalid"]),
        (b'{"a":' * 100_000, ["event_invalid"]),
        (b"[" * 100_000, ["wrong_field_count"]),
        (b'{"form_id":"\\ud800","views":5,"submissions":1,"features":[]}', ["event_invalid"]),
        (b"{}", ["form_id_missing", "count_missing", "wrong_feature_count"]),
        (told(form_id=["f-1"]), ["event_invalid"]),
        (told(form_id="f 1"), ["form_id_invalid"]),
        (told(views=True, submissions=0.5), ["count_not_integer"]),
        (told(views=int("9" * 4_000)), ["count_too_large"]),
        (told(views=-5), ["count_negative"]),
        (told(features={"feat_01": 1}), ["event_invalid"]),
        (told(features=[*VALUES, 1]), ["wrong_feature_count"]),
        (told(features=[-1e-9, float("nan"), None, [1], *VALUES[4:]]),
         ["feature_negative", "feature_not_finite", "feature_missing", "feature_not_number"]),
        (told().replace(b"1e-07", b"1e999"), ["feature_not_finite"]),
        (told(event_id=[7]), ["event_invalid"]),
        (told(event_id="x" * 300), ["event_invalid"]),
        (told(observed_at="yesterday"), ["event_invalid"]),
        (told(observed_at="2026-11-24T12:00:00"), ["event_invalid"]),
        (told(observed_at="0001-01-01T00:00:00+14:00"), ["event_invalid"]),
    ],
)  # fmt: skip
def test_read_event_names_every_reason(payload: bytes, reasons: list[str]) -> None:
    assert read_event(payload, "t-1", NOW) == reasons


_FIELD = st.sampled_from(["", " ", "f-1", "5", "-5", "1e3", "nan", "a b", "(", ")", "ä", "0" * 300, PACKED])


@given(st.lists(_FIELD | st.text(max_size=5), min_size=3, max_size=5).map(",".join).map(str.encode) | st.binary())
def test_read_event_judges_a_line_as_a_dump_would(line: bytes) -> None:
    event = read_event(line, "t-1", NOW)

    assert isinstance(event, Event) or (event and set(event) <= REASONS.keys())
    if not line.lstrip(b" \t\r\n").startswith(b"{") and b"\n" not in line:
        assert (event.form if isinstance(event, Event) else event) == explain_line(line, Layout())


def test_entries_of_scores_each_event_as_alone(tmp_path: Path) -> None:
    publish_generation(tmp_path, "g1", many_forms(2))
    forms = [Form(form_id, views, done, tuple(row)) for form_id, (row, views, done) in many_forms(50).items()]
    events = [Event(form, f"e-{form.form_id}", NOW) for form in [*forms, Form("new", 0, 0, FORM.features)]]

    with closing(Generations(tmp_path).open("g1")) as generation:
        entries = entries_of(events, generation, NOW)
        assert entries_of([], generation, NOW) == []
        for event, entry in zip(events, entries, strict=True):
            form = event.form
            alone = generation.scorer.score_one(form.features, form.views)
            scored = (entry.predicted_rate, entry.lower, entry.upper)
            assert scored == tuple(value if value is None else pytest.approx(value, rel=1e-12) for value in alone)
            assert (entry.form_id, entry.views, entry.event_id) == (form.form_id, form.views, event.event_id)
            assert entry.completion_rate == (form.submissions / form.views if form.views else None)
            assert np.array_equal(unpack_features(entry.features), form.features)
    assert {(entry.generation, entry.model_version) for entry in entries} == {("g1", "m-g1")}
    assert entries[-1].lower is None
