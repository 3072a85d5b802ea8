"""The merge rule over a whole night: what an answer is does not hang on the order in which things arrive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from generations import SCORED_AT, publish_generation
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import line

from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from speed.contract import N_FEATURES
from speed.events import Event, entries_of, read_event
from speed.generations import CURRENT, Generations
from speed.live import Live
from speed.stores.realtime import FILE, LmdbRealtime

CUT_OFF = SCORED_AT + timedelta(days=1)
ZEROS = [0.0] * N_FEATURES
VIEWS = 5
"""That the new generation knows of the form "known"."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generation g1, and g2 that was made of a dump of CUT_OFF."""
    folder = tmp_path_factory.mktemp("lake") / "serving"
    publish_generation(folder, "g1", {"known": (ZEROS, 1, 0)})
    publish_generation(folder, "g2", {"known": (ZEROS, VIEWS, 0)}, data_until=CUT_OFF)
    return folder


Told = tuple[str, int, datetime]


@st.composite
def nights(draw: st.DrawFn) -> tuple[list[Told], list[Told]]:
    """Events (form, views, time) before the swap, and after it: views only grow; in any order, some of them twice."""
    events = []
    for form_id in ("known", "new"):
        views = sorted(draw(st.lists(st.integers(VIEWS - 3, VIEWS + 3), max_size=4)))
        minutes = sorted(draw(st.lists(st.integers(-3, 3), min_size=len(views), max_size=len(views))))
        events += [(form_id, n, CUT_OFF + timedelta(minutes=at)) for n, at in zip(views, minutes, strict=True)]
    arrived = draw(
        st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=3)) if events else events)
    )
    swap = draw(st.integers(0, len(arrived)))
    return list(arrived[:swap]), list(arrived[swap:])


def take(serving: Path, events: Sequence[Told], generation: str) -> None:
    """What every writer of streamed scores does."""
    read = [read_event(line(form_id, views).encode(), "e", at) for form_id, views, at in events]
    with closing(LmdbRealtime(serving)) as store, closing(Generations(serving).open(generation)) as live:
        store.put(entries_of([event for event in read if isinstance(event, Event)], live, SCORED_AT))


def answer(serving: Path, form_id: str) -> tuple[str, int] | None:
    with closing(Live(Generations(serving), LmdbRealtime(serving))) as live:
        live.look()
        found = live.find(form_id)
        return (found.origin, found.score.views) if found else None


@settings(max_examples=60)
@given(nights())
def test_the_newest_data_answers_whatever_the_order(serving: Path, night: tuple[list[Told], list[Told]]) -> None:
    for file in serving.glob(f"{FILE}*"):
        file.unlink()
    before, after = night
    generations = Generations(serving)
    generations.point(CURRENT, "g1")
    take(serving, before, "g1")

    generations.point(CURRENT, "g2")
    Serving(Tables(str(serving.parent))).drop_outdated(generations.manifest("g2"))
    take(serving, after, "g2")

    newest = {form_id: max(((n, at) for id_, n, at in before + after if id_ == form_id), default=None)
              for form_id in ("known", "new")}  # fmt: skip
    known, new = newest["known"], newest["new"]
    streamed = known is not None and known > (VIEWS, CUT_OFF)
    assert answer(serving, "known") == (("stream", known[0]) if known and streamed else ("batch", VIEWS))
    assert answer(serving, "new") == (("stream", new[0]) if new and new[1] > CUT_OFF else None)
