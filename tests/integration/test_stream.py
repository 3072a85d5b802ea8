"""`formcast stream` on real checkpoints: folders and Delta tables, restarts, crashes, a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from generations import many_forms, publish_generation
from streams import caught_up, drop, line, rejected, stored, stream

from jobs.errors import FormcastError, MissingError, UsageError
from jobs.stream.batch import Outcome
from jobs.stream.sources import SOURCES
from speed.contract import FEATURES
from speed.generations import CURRENT, Generations
from speed.stores.realtime import LmdbRealtime
from tests.kills import killed_midway

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def inbox(tmp_path: Path, lake: str) -> Path:
    """A folder to stream from, beside a lake with a live generation `g1`."""
    publish_generation(Path(lake) / "serving", "g1", many_forms(5))
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def test_each_event_counts_once_across_restarts(spark: SparkSession, lake: str, inbox: Path) -> None:
    drop(inbox, "1", line("a", 3), line("b", 3, 10), "poison", '{"form_id":"c"}', "\udcff", line("a", 5, 20))
    assert caught_up(spark, lake, "folder", inbox) == [(3, 3, 3)]

    assert caught_up(spark, lake, "folder", inbox) == []  # nothing new
    publish_generation(Path(lake) / "serving", "g2", many_forms(5), slope=0.02)
    drop(inbox, "2", line("a", 4, 30), line("a", 5, 20), line("b", 4, 10))  # older, the same again, newer
    assert caught_up(spark, lake, "folder", inbox) == [(3, 0, 2)]

    # "a" with as many views, in a file of a later time, is the newer data.
    assert stored(lake, "a", "b", "c") == {"a": (5, 0.6, "g2"), "b": (4, 0.4, "g2")}
    packed = "form_id,submissions,views,features"
    assert rejected(lake) == [
        ("\\xff", ["not_utf8"], "stream s", packed, "stream-s", None),
        ("poison", ["wrong_field_count"], "stream s", packed, "stream-s", None),
        ('{"form_id":"c"}', ["count_missing", "wrong_feature_count"], "stream s", "event", "stream-s", None),
    ]


def test_a_batch_that_fails_at_its_end_comes_again_and_doubles_nothing(
    spark: SparkSession, lake: str, inbox: Path
) -> None:
    drop(inbox, "1", line("a", 3), "poison")

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    with stream(spark, lake, "folder", inbox) as (streaming, _):
        streaming.tell = fail  # all is written by then, and Spark does not know
        with pytest.raises(FormcastError, match="Stream s stopped"):
            streaming.catch_up()

    assert caught_up(spark, lake, "folder", inbox) == [(1, 1, 0)]
    assert len(rejected(lake)) == 1
    files = list(Path(lake, "rejected_forms").glob("run_id=*/*.parquet"))
    assert len(files) == 1  # what the second attempt wrote is gone


def test_a_killed_stream_loses_and_doubles_nothing(spark: SparkSession, lake: str, inbox: Path) -> None:
    count = 10_000
    for half in ("n", "m"):  # one task each
        drop(inbox, half, *(line(f"{half}{at}", 3) if at % 10 else f"poison {half}{at}" for at in range(count)))
    env = os.environ | {"FORMCAST_DRIVER_MEMORY": "1g"}

    def start(lake: str) -> subprocess.Popen[bytes]:
        if not Path(lake).exists():
            publish_generation(Path(lake) / "serving", "g1", many_forms(5))
        command = [sys.executable, "-m", "jobs", "stream", "--source", "folder", "--path", str(inbox), "--lake", lake]
        command += ["--name", "s", "--once"]
        return subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.DEVNULL)

    def entries(lake: str) -> int:
        with closing(LmdbRealtime(Path(lake) / "serving")) as realtime:
            return len(realtime)

    lakes = (lake, *(f"{lake}-{number}" for number in range(1, 5)))
    lake = killed_midway(lakes, start, entries, lambda lake: Path(lake, "_checkpoints/s/commits/0").exists())

    assert [batch[:2] for batch in caught_up(spark, lake, "folder", inbox)] == [(18_000, 2_000)]
    assert entries(lake) == 18_000
    assert len(rejected(lake)) == len({row[0] for row in rejected(lake)}) == 2_000


def test_a_stream_follows_until_it_is_stopped(spark: SparkSession, lake: str, inbox: Path) -> None:
    with stream(spark, lake, "folder", inbox) as (streaming, told):
        Timer(0.5, drop, (inbox, "1", line("a", 3))).start()

        def tell(_: int, outcome: Outcome, __: str) -> None:
            told.append(outcome)
            streaming.stop() if len(told) == 2 else drop(inbox, "2", line("b", 3))

        streaming.tell = tell
        streaming.follow("100 milliseconds")

    assert stored(lake, "a", "b").keys() == {"a", "b"}


def test_a_bad_new_generation_leaves_the_old_one_scoring(spark: SparkSession, lake: str, inbox: Path) -> None:
    with stream(spark, lake, "folder", inbox) as (streaming, _):
        streaming.live.look()
        serving = Path(lake) / "serving"
        publish_generation(serving, "g2", many_forms(5), live=False)
        (serving / "g2" / "model.onnx").write_bytes(b"junk")
        Generations(serving).point(CURRENT, "g2")
        drop(inbox, "1", line("a", 3))
        streaming.catch_up()

    assert stored(lake, "a") == {"a": (3, 0.2, "g1")}


def test_delta_tables_of_payloads_and_of_forms(spark: SparkSession, lake: str, inbox: Path, tmp_path: Path) -> None:
    payloads, forms = str(tmp_path / "payloads"), str(tmp_path / "forms")
    for rows in ([line("a", 3), "poison"], [json.dumps({"form_id": "b"}), None, line("b", 2)]):
        write_deltalake(payloads, pa.table({"payload": rows}), mode="append")
    values = dict.fromkeys(FEATURES, 0.0)
    rows = [{"form_id": form_id, "views": 3, "submissions": 1, **values} for form_id in ("c", "d")]
    rows[1]["feat_47"] = -1.0
    write_deltalake(forms, pa.Table.from_pylist(rows), configuration={"delta.enableChangeDataFeed": "true"})

    batches = caught_up(spark, lake, "delta", payloads)
    assert [sum(counts) for counts in zip(*batches, strict=True)] == [2, 3, 2]
    assert caught_up(spark, lake, "delta", forms, "forms") == [(1, 1, 1)]
    DeltaTable(forms).update(
        predicate="form_id = 'd'", new_values={"feat_47": 1.0, "views": 4}
    )  # a form changes in its place
    assert caught_up(spark, lake, "delta", forms, "forms") == [(1, 0, 1)]

    assert stored(lake, "a", "b", "c", "d") == {
        "a": (3, 0.2, "g1"),
        "b": (2, 0.2, "g1"),
        "c": (3, 0.2, "g1"),
        "d": (4, 0.21, "g1"),
    }
    assert [row[1] for row in rejected(lake) if row[4] == "stream-forms"] == [["feature_negative"]]


def test_a_clock_that_is_ahead_does_not_win(spark: SparkSession, lake: str, inbox: Path, tmp_path: Path) -> None:
    table, ahead = str(tmp_path / "table"), datetime(2099, 1, 1, tzinfo=UTC)
    drop(inbox, "1", line("a", 3))
    os.utime(inbox / "1", (ahead.timestamp(), ahead.timestamp()))  # as `mv` and `rsync` keep it
    rows = {"payload": [line("b", 3), line("c", 3)], "observed_at": [ahead, None]}
    write_deltalake(table, pa.table(rows))

    began = datetime.now(UTC)
    assert caught_up(spark, lake, "folder", inbox) == [(1, 0, 1)]
    assert caught_up(spark, lake, "delta", table, "table") == [(2, 0, 2)]

    with closing(LmdbRealtime(Path(lake) / "serving")) as realtime:
        times = [entry.observed_at for entry in realtime.get_many("abc").values()]
    assert len(times) == 3
    assert began - timedelta(seconds=1) < min(times) <= max(times) < datetime.now(UTC)


def test_sources_say_what_is_missing(spark: SparkSession, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "other"), pa.table({"x": [1]}))

    for kind, place, error in (
        ("folder", "no", MissingError),
        ("delta", "no", MissingError),
        ("delta", "other", UsageError),
    ):
        with pytest.raises(error, match=place):
            SOURCES[kind](spark, str(tmp_path / place))
