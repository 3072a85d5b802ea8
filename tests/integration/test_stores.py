"""Every store of scores keeps the same promises: one generation at a time, whole; of streamed scores the newest."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import msgspec
import numpy as np
import pytest
from botocore.awsrequest import AWSResponse
from generations import Forms, many_forms
from stores import InDynamoDB, InS3, OnDisk, Place

from jobs.edge.s3 import S3Publisher
from jobs.errors import FormcastError
from speed.errors import StoreDamagedError, StoreError, StoreMissingError, ThrottledError
from speed.generations import CURRENT, MANIFEST, PIN, Generations
from speed.settings import ServeSettings
from speed.sources import open_sources
from speed.stores.base import RealtimeStore
from speed.stores.dynamodb_realtime import DynamoRealtime
from speed.stores.realtime import LmdbRealtime
from speed.stores.records import Entry
from speed.stores.s3 import S3Generations

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
ODD = {"ä/ö#?%🦆": ([1.5] * 47, 10, 3), "Z" * 256: ([0.0] * 47, 1, 1), "unseen": ([0.0] * 46 + [2.0], 0, 0)}
UNKNOWN = ["unknown", "f", "f1 ", "F1", "z" * 256, "(current)", "(generation)", "(writing)"]


@pytest.fixture(params=["lmdb", "s3", "dynamodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "lmdb":
        return OnDisk(tmp_path)
    request.getfixturevalue("dynamodb_table")
    return InS3(tmp_path) if request.param == "s3" else InDynamoDB(tmp_path)


@pytest.fixture
def dynamodb(dynamodb_table: str, tmp_path: Path) -> InDynamoDB:
    return InDynamoDB(tmp_path / "dynamodb")


@pytest.fixture
def s3(aws: str, tmp_path: Path) -> InS3:
    return InS3(tmp_path)


@pytest.fixture(params=["lmdb", "dynamodb"])
def realtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealtimeStore]:
    if request.param == "lmdb":
        store: RealtimeStore = LmdbRealtime(tmp_path)
    else:
        store = DynamoRealtime(request.getfixturevalue("dynamodb_table"))
    yield store
    store.close()


def entry(form_id: str, views: int, minute: int = 0, **values: Any) -> Entry:
    fields: dict[str, Any] = {
        "event_id": f"{form_id}-{views}-{minute}",
        "observed_at": NOW + timedelta(minutes=minute, microseconds=1),
        "scored_at": NOW,
        "predicted_rate": 0.25,
        "lower": None,
        "upper": 0.5,
        "completion_rate": None,
        "model_version": "m",
        "generation": "g",
        "features": b"\x00\xff",
    }
    return Entry(form_id=form_id, views=views, **fields | values)


def answers(place: Place, name: str, forms: Forms) -> dict[str, Any]:
    """What a generation says of these forms, asked one by one."""
    store = place.source.open(name).store
    return {form_id: store.get(form_id) for form_id in forms}


def test_a_generation_answers_what_was_published_and_nothing_else(place: Place) -> None:
    forms = many_forms(60) | ODD
    scores = place.publish("g1", forms)

    generation = place.source.open(place.source.live_name())
    store = generation.store
    found = {form_id: store.features(form_id) for form_id in forms}

    assert store.manifest == generation.manifest == place.source.all()[0]
    assert {form_id: store.get(form_id) for form_id in [*forms, *UNKNOWN]} == scores | dict.fromkeys(UNKNOWN)
    assert store.get_many([*forms, *UNKNOWN, "unseen"]) == scores
    assert store.get_many([]) == {}
    np.testing.assert_array_equal([found[form_id] for form_id in forms], [form[0] for form in forms.values()])
    assert [store.features(form_id) for form_id in UNKNOWN] == [None] * len(UNKNOWN)
    assert generation.scorer.score_one([0.0] * 47)[0] == pytest.approx(0.2)
    assert generation.papers["version"] == "m-g1"
    assert generation.explainer is not None


def test_each_generation_stays_what_it_was_while_others_follow(place: Place) -> None:
    first = many_forms(30) | ODD
    second = {id_: form for id_, form in first.items() if id_ != "unseen"} | {"new": ([3.0] * 47, 5, 1)}
    second["f3"] = ([9.0] * 47, 600, 0)
    nights = {"g1": first, "g2": second, "g3": first | {"f4": ([4.0] * 47, 1, 0)}}
    every = [*(first | second), "unknown"]
    expected = {}

    for at, (name, forms) in enumerate(nights.items()):
        scores = place.publish(name, forms)
        expected[name] = {form_id: scores.get(form_id) for form_id in every}
        assert place.source.live_name() == name
        assert [manifest.generation for manifest in place.source.all()] == list(nights)[at::-1]
        for earlier, said in expected.items():
            assert answers(place, earlier, every) == said


def test_a_pin_holds_answers_to_a_generation_until_it_is_removed(place: Place) -> None:
    source: Any = place.source
    with pytest.raises(StoreError, match="Nothing is published yet"):
        source.live_name()
    place.publish("g1", ODD)
    source.point(PIN, "g1")
    place.publish("g2", ODD)

    pinned = source.live_name(), source.live_manifest().generation, source.pinned(), source.current_name()
    source.unpin()
    after = source.live_name(), source.live_manifest().generation, source.pinned(), source.current_name()
    source.point(CURRENT, "g1")

    assert pinned == ("g1", "g1", "g1", "g2")
    assert after == ("g2", "g2", None, "g2")
    assert source.live_name() == "g1"


def test_one_bad_manifest_hides_no_other_generation(place: Place) -> None:
    if isinstance(place, InDynamoDB):
        return  # its manifests are items, written with the pointer or not at all
    for name in ("g1", "g2"):
        place.publish(name, ODD)
    if isinstance(place, InS3):
        boto3.client("s3").put_object(Bucket="lake", Key="some/prefix/serving/g2/manifest.json", Body=b"")
    else:
        (place.source.folder("g2") / "manifest.json").write_bytes(b"")
    assert [manifest.generation for manifest in place.source.all()] == ["g1"]


def test_a_generation_that_is_not_there_or_was_damaged_is_refused(place: Place) -> None:
    with pytest.raises(StoreMissingError, match="Nothing is published yet"):
        place.source.live_name()
    place.publish("g1", ODD)
    with pytest.raises(StoreMissingError):
        place.source.open("g0")

    damaged = "some/prefix/serving/g1/model.onnx"
    if isinstance(place, InS3):
        boto3.client("s3").put_object(Bucket="lake", Key=damaged, Body=b"junk")
    else:
        (place.serving / "g1" / "model.onnx").write_bytes(b"junk")  # type: ignore[attr-defined]
    with pytest.raises(StoreDamagedError, match=r"checksum of model\.onnx"):
        place.source.open("g1")
    if isinstance(place, InS3):
        boto3.client("s3").delete_object(Bucket="lake", Key=damaged)
    else:
        (place.serving / "g1" / "model.onnx").unlink()  # type: ignore[attr-defined]
    with pytest.raises(StoreDamagedError, match=r"model\.onnx cannot be"):
        place.source.open("g1")


def test_a_store_that_cannot_be_read_says_nothing_about_what_it_holds(
    place: Place, aws_refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "nothing is published", not "damaged": those would be acted on."""
    source: Any = place.source
    calls = (source.live_name, source.live_manifest, source.pinned, partial(source.open, "g1"))
    place.publish("g1", ODD)
    if isinstance(place, (InS3, InDynamoDB)):
        aws_refuses(403, ".")
    else:
        calls += (source.all, source.kept)
        for name in ("pathlib.Path.read_bytes", "pathlib.Path.read_text", "os.scandir"):
            monkeypatch.setattr(name, failing)
    for call in calls:
        with pytest.raises(StoreError) as raised:
            call()
        assert not isinstance(raised.value, (StoreMissingError, StoreDamagedError))


def failing(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_one_manifest_that_cannot_be_read_for_now_hides_no_generation_from_readers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes what is not kept must not go by a list that is short for want of a good disk."""
    place = OnDisk(tmp_path)
    for name in ("g1", "g2", "g3"):
        place.publish(name, ODD)
    generations = Generations(place.serving)
    (place.serving / "g3" / MANIFEST).write_bytes(b'{"generation": "\xff"}')
    (place.serving / "g4").mkdir()  # is being written
    assert [manifest.generation for manifest in generations.kept()] == ["g2", "g1"]

    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: failing() if "g2" in file.parts else read(file))
    assert [manifest.generation for manifest in generations.all()] == ["g1"]
    with pytest.raises(StoreError, match="g2 holds no readable generation"):
        generations.kept()


def test_s3_a_cut_off_or_damaged_copy_is_pulled_again(s3: InS3) -> None:
    scores = s3.publish("g1", many_forms(50))
    s3.source.open("g1")
    copy = s3.cache / "lake/some/prefix/serving/whole/g1"
    (copy / "features.mdb").write_bytes(b"")
    (copy.parent / ".g1.part").mkdir()  # of a process that was killed while it pulled

    store = s3.source.open("g1").store

    assert store.get_many(list(scores)) == scores
    assert store.features("f1") is not None
    assert sorted(path.name for path in copy.parent.iterdir()) == [".lock", "g1"]


def test_s3_keeps_a_few_generations_on_this_machine_and_what_is_open_stays_readable(s3: InS3) -> None:
    scores = s3.publish("g1", many_forms(50))
    first = s3.source.open("g1").store
    for name in ("g2", "g3", "g4"):
        s3.publish(name, many_forms(50))
        s3.source.open(name)

    assert sorted(path.name for path in (s3.cache / "lake/some/prefix/serving/whole").glob("g*")) == [
        "g2",
        "g3",
        "g4",
    ]
    assert first.get_many(list(scores)) == scores


def test_s3_models_are_pulled_without_scores(s3: InS3, tmp_path: Path) -> None:
    s3.publish("g1", ODD)

    folder = S3Generations(s3.URL, tmp_path / "models", without=("scores.mdb", "features.mdb")).folder("g1")

    names = ["explain.npz", "manifest.json", "model.json", "model.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_s3_of_two_publishes_at_once_one_moves_the_pointer(s3: InS3) -> None:
    first, second = S3Publisher(s3.URL), S3Publisher(s3.URL)
    first.swap("g1")
    with pytest.raises(FormcastError, match="Another publish"):
        second.swap("g2")
    third, fourth = S3Publisher(s3.URL), S3Publisher(s3.URL)
    fourth.swap("g4")
    with pytest.raises(FormcastError, match="Another publish"):
        third.swap("g3")
    fourth.swap("g5")
    assert s3.source.live_name() == "g5"

    # S3 has moved the pointer, but its answer was lost: the client tries again, and is told that it moved.
    put = fourth._client.put_object
    fourth._client.put_object = lambda **request: (put(**request), put(**request))[1]
    fourth.swap("g6")
    fourth._client.put_object = put
    fourth.swap("g7")
    assert s3.source.live_name() == "g7"


def test_the_newest_data_wins_in_whatever_order_it_comes(realtime: RealtimeStore) -> None:
    old, newer, newest = entry("a", 5, 9), entry("a", 6, 1), entry("a", 6, 2)
    odd = [entry(form_id, 1) for form_id in ODD]

    stored = [realtime.put([given]) for given in (newer, old, newer, newest, newer, newest)]
    stored += [realtime.put(odd), realtime.put(odd), realtime.put([])]

    assert stored == [1, 0, 0, 1, 0, 0, len(odd), 0, 0]
    assert realtime.get("a") == newest
    assert realtime.get("unknown") is None
    assert realtime.get_many(["unknown", "a", *ODD, "a"]) == {"a": newest} | {one.form_id: one for one in odd}


def test_streamed_scores_on_a_full_disk_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speed.stores.realtime.MAP_BYTES", 1 << 16)
    with closing(LmdbRealtime(tmp_path)) as store:
        store.put([entry("kept", 1)])
        with pytest.raises(StoreError, match=r"cannot be written: .*MAP_FULL"):
            store.put(entry(f"f{at}", 1) for at in range(2_000))
        assert store.get("f0") is None and store.get("kept") == entry("kept", 1)


def test_many_entries_are_found_and_pruned(realtime: RealtimeStore) -> None:
    entries = {f"f{at}": entry(f"f{at}", at) for at in range(250)}
    assert realtime.put([entry("f7", 3), *entries.values(), entry("f7", 4)]) >= len(entries)
    assert realtime.get_many(list(entries)) == entries

    assert realtime.prune(lambda found: found.views % 2 == 1) == 125
    assert realtime.prune(lambda found: found.views % 2 == 1) == 0

    assert realtime.get_many(list(entries)) == {id_: one for id_, one in entries.items() if one.views % 2}


def test_dynamodb_an_entry_that_comes_while_older_ones_are_pruned_stays(dynamodb_table: str) -> None:
    store, coming = DynamoRealtime(dynamodb_table), entry("a", 2)
    store.put([entry("a", 1), entry("b", 1)])

    def outdated(found: Entry) -> bool:
        store.put([coming])
        return False

    assert store.prune(outdated) == 1
    assert store.get_many(["a", "b"]) == {"a": coming}


def throttled(client: Any, operation: str, times: int) -> list[int]:
    """Let the client's next `times` requests be refused; answers a list that grows with each request."""
    asked: list[int] = []

    def refuse(request: Any, **_: Any) -> AWSResponse | None:
        asked.append(1)
        if len(asked) > times:
            return None
        kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
        response = AWSResponse(request.url, 400, {}, None)
        response._content = json.dumps({"__type": kind, "message": "slow down"}).encode()
        return response

    client.meta.events.register(f"before-send.dynamodb.{operation}", refuse)
    return asked


def test_dynamodb_waits_out_a_moment_of_throttling_and_says_so_where_it_lasts(dynamodb: InDynamoDB) -> None:
    scores = dynamodb.publish("g1", ODD)
    store = dynamodb.source.open("g1").store

    asked = throttled(dynamodb.source.client, "Query", times=1)
    assert store.get("unseen") == scores["unseen"]
    assert len(asked) == 2

    throttled(dynamodb.source.client, "Query", times=1_000)
    with pytest.raises(ThrottledError, match="'scores' takes no more requests"):
        store.get_many(["unseen", "unknown"])


def test_dynamodb_streamed_scores_say_that_they_are_throttled(dynamodb_table: str) -> None:
    store = DynamoRealtime(dynamodb_table)
    throttled(store._client, "*", times=1_000)
    calls: list[Callable[[], Any]] = [
        lambda: store.get("a"),
        lambda: store.get_many(["a"]),
        lambda: store.put([entry("a", 1)]),
        lambda: store.prune(lambda _: False),
    ]
    for call in calls:
        with pytest.raises(ThrottledError, match="'scores-realtime' takes no more requests"):
            call()


def test_dynamodb_asks_again_for_what_was_left_unprocessed(dynamodb_table: str) -> None:
    store = DynamoRealtime(dynamodb_table)
    entries = {f"f{at}": entry(f"f{at}", at) for at in range(120)}
    store.put(entries.values())

    def leave_most(parsed: dict[str, Any], **_: Any) -> None:
        answered = parsed["Responses"]["scores-realtime"]
        ids = [msgspec.msgpack.decode(item["e"]["B"])["form_id"] for item in answered[20:]]
        keys = {"Keys": [{"form_id": {"S": form_id}} for form_id in ids], "ProjectionExpression": "e"}
        parsed["UnprocessedKeys"] = {"scores-realtime": keys} if ids else {}
        del answered[20:]

    store._client.meta.events.register("after-call.dynamodb.BatchGetItem", leave_most)
    assert store.get_many(list(entries)) == entries


def test_a_missing_table_or_bucket_is_a_plain_sentence(aws: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'scores' is not there: create it"):
        InDynamoDB(tmp_path).source.live_name()
    with pytest.raises(StoreError, match="s3://nobody/serving is not there: create it"):
        S3Generations("s3://nobody/serving", tmp_path).live_name()


def test_a_network_that_is_gone_is_a_plain_sentence(aws: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="'scores' cannot be reached"):
        InDynamoDB(tmp_path).source.live_name()
    with pytest.raises(StoreError, match="s3://lake/serving cannot be reached"):
        S3Generations("s3://lake/serving", tmp_path).live_name()


def test_sources_are_those_that_the_settings_name(s3: InS3, dynamodb: InDynamoDB, tmp_path: Path) -> None:
    scores = dynamodb.publish("g1", ODD)
    publisher = S3Publisher(s3.URL)
    publisher.upload(dynamodb.serving / "g1")
    publisher.swap("g1")
    shutil.rmtree(dynamodb.serving)  # another machine has none of it
    DynamoRealtime(dynamodb.TABLE).put([entry("a", 1)])
    lake = {"lake": "s3://lake/some/prefix", "cache": str(tmp_path / "elsewhere"), "dynamodb_table": dynamodb.TABLE}

    for store in ("lmdb", "dynamodb"):
        generations, realtime = open_sources(ServeSettings(store=store, **lake))
        generation = generations.open(generations.live_name())
        assert generation.store.get_many(list(ODD)) == scores
        assert generation.scorer.score_one([0.0] * 47)[0] == pytest.approx(0.2)
        assert realtime.get("a") == entry("a", 1)
    with pytest.raises(StoreError, match="set FORMCAST_DYNAMODB_TABLE"):
        open_sources(ServeSettings(store="dynamodb"))
