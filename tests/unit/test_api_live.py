"""Which generation is answered from: swapped in when it is good, refused and seen to be when it is not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from speed import live as live_module
from speed.generations import CURRENT, PIN, Generations
from speed.live import Live, NothingLiveError
from speed.sources import open_sources
from tests.api import FORMS, client_of, settings_of, small_lake, vector
from tests.generations import publish_generation

FORBIDDEN = ("pyspark", "pandas", "pyarrow", "deltalake", "onnx", "jobs", "boto3")


@pytest.fixture
def live(tmp_path: Path):
    live = Live(*open_sources(settings_of(tmp_path)))
    yield live
    live.close()


def _name(live: Live) -> str:
    return live.now().manifest.generation


def test_nothing_is_live_before_the_first_generation(live: Live, tmp_path: Path) -> None:
    live.look()
    with pytest.raises(NothingLiveError, match="Nothing is published yet below"):
        live.now()
    small_lake(tmp_path)
    live.look()
    assert (_name(live), live.refused) == ("g1", None)


def test_pin_wins_over_what_is_published_and_unpin_goes_back(live: Live, tmp_path: Path) -> None:
    small_lake(tmp_path)
    generations = Generations(tmp_path / "serving")
    seen = []
    for change in (
        lambda: publish_generation(generations.serving, "g2", FORMS),
        lambda: generations.point(PIN, "g1"),
        lambda: publish_generation(generations.serving, "g3", FORMS),
        generations.unpin,
    ):
        change()
        live.look()
        seen.append(_name(live))
    assert seen == ["g2", "g1", "g1", "g3"]


@pytest.mark.parametrize(
    "file", ["scores.mdb", "features.mdb", "model.onnx", "explain.npz", "model.json", "manifest.json"]
)
def test_a_corrupt_generation_is_refused_once_and_taken_when_mended(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    small_lake(tmp_path)
    live.look()
    opened = []
    open_ = live.generations.open
    monkeypatch.setattr(live.generations, "open", lambda name: opened.append(name) or open_(name))
    publish_generation(tmp_path / "serving", "g2", {"a": (vector(9), 1, 1)})
    damaged = tmp_path / "serving" / "g2" / file
    good = damaged.read_bytes()
    damaged.write_bytes(good[:1] + bytes([good[1] ^ 1]) + good[2:])

    for _ in range(3):
        live.look()
    assert (_name(live), live.find("a").score.views, opened) == ("g1", 100, ["g2"])
    assert live.refused is not None and live.refused.name == "g2"
    assert ("checksum of " + file in live.refused.reason) or "no readable generation" in live.refused.reason

    damaged.write_bytes(good)
    monkeypatch.setattr(live_module, "time", SimpleNamespace(monotonic=lambda: 1e12))
    live.look()
    assert (_name(live), live.find("a").score.views, live.refused) == ("g2", 1, None)


def test_going_back_to_a_good_generation_ends_the_refusal(live: Live, tmp_path: Path) -> None:
    small_lake(tmp_path)
    live.look()
    generations = Generations(tmp_path / "serving")
    generations.point(CURRENT, "gone")
    live.look()
    assert live.refused is not None and live.refused.name == "gone"
    generations.point(CURRENT, "g1")
    live.look()
    assert live.refused is None


def test_server_tells_that_it_is_not_ready_and_becomes_so(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for path in ("/readyz", "/v1/forms/a", "/v1/model", "/v1/retrain"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:formcast:problem:not-ready")
            assert answer.headers["retry-after"] == "5"
        assert client.get("/v1/status").json()["ready"] is False
        assert client.get("/v1/generations").json()["generations"] == []
        small_lake(tmp_path)
        _until(lambda: client.get("/readyz").status_code == 200)

        (tmp_path / "serving" / CURRENT).write_text("gone\n")
        _until(lambda: client.get("/readyz").json()["refused"])
        told = client.get("/readyz").json()
        assert (told["generation"], told["refused"]["generation"]) == ("g1", "gone")
        assert "formcast_generation_refused 1.0" in client.get("/metrics").text


def test_serving_loads_nothing_that_it_does_not_need() -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import speed.api.app, sys; print([m for m in {FORBIDDEN} if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def _until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_started_beside_a_bad_generation_answers_from_the_newest_good_one(tmp_path: Path) -> None:
    small_lake(tmp_path)
    serving = tmp_path / "serving"
    for name in ("g2", "g3"):
        publish_generation(serving, name, FORMS)
    (serving / "g3" / "model.onnx").write_bytes(b"junk")

    live = Live(*open_sources(settings_of(tmp_path)))
    live.look()

    assert _name(live) == "g2"
    assert live.refused is not None and live.refused.name == "g3"
    live.close()


def test_a_generation_that_an_answer_still_holds_can_be_gone_back_to(live: Live, tmp_path: Path) -> None:
    small_lake(tmp_path)
    live.look()
    held = live.now()
    publish_generation(tmp_path / "serving", "g2", FORMS)
    live.look()
    Generations(tmp_path / "serving").point(PIN, "g1")
    live.look()
    assert (live.now(), live.refused) == (held, None)
