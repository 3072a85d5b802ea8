"""A store that cannot be read for now fails a step: it is neither "there is none" nor "it is damaged"."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import onnx
import pytest
from pyarrow import fs

from jobs.edge.artifacts import PORTABLE, find_readable_champion, load_rival, read_portable
from jobs.edge.context import StepContext
from jobs.edge.models import CHAMPION, MANIFEST_FILE, Models, ModelVersion, checksum
from jobs.edge.places import _s3_filesystem
from jobs.edge.snapshot import Serving
from jobs.edge.tables import Tables
from jobs.errors import DamagedError, FormcastError, MissingError
from jobs.model.manifest import DataWindow, Manifest, Split, encoded
from jobs.runner import run_step
from jobs.steps.publish import publish
from speed.contract import FEATURES
from speed.generations import CURRENT
from tests.generations import small_model
from tests.nights import live, night, scored
from tests.trouble import failing_disk

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new_champion(models: Models) -> ModelVersion:
    """A model with all its files, as train leaves it; not yet in the table."""
    staged = models.files.workplace("models/m")
    (staged / "mllib").mkdir()
    (staged / "mllib" / "part-0").write_bytes(b"native")
    (staged / PORTABLE).write_bytes(small_model("m")[PORTABLE])
    window = DataWindow(table_version=1, forms=10, first_ingested_at=NOW, last_ingested_at=NOW)
    split = Split(rule="", train_forms=8, holdout_forms=2, fit_fraction=1, fit_forms=8)
    facts: dict[str, Any] = {"run_id": "r", "data": window, "split": split, "seed": 1, "code_version": ""}
    (staged / MANIFEST_FILE).write_bytes(encoded(Manifest(champion=None, created_at=NOW, family="linear", **facts)))
    uri, digest = models.publish_artifact("m", staged)
    return ModelVersion("m", "r", "linear", {}, {"mae": 0.1}, 1, uri, digest, CHAMPION, "", NOW)


@pytest.fixture
def models(lake: str) -> Models:
    """A lake with a champion."""
    found = Models(Tables(lake))
    found.save([new_champion(found)])
    return found


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / PORTABLE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / PORTABLE).write_bytes(content)


def cut_off(folder: Path) -> None:
    (folder / PORTABLE).write_bytes((folder / PORTABLE).read_bytes()[:500])


def of_other_features(folder: Path) -> None:
    model = onnx.load(folder / PORTABLE)
    (listed,) = [each for each in model.metadata_props if each.key == "features"]
    listed.value = ",".join(reversed(FEATURES))
    onnx.save(model, folder / PORTABLE)


def without_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def with_no_text(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_bytes(b'{"run_id": "\xff"}')


@pytest.mark.parametrize(
    ("damage", "is_noticed", "why"),
    [
        (shutil.rmtree, False, "are gone from"),
        (flip_a_byte, False, "were changed"),
        (cut_off, True, "damaged or no ONNX model"),
        (of_other_features, True, "made for other features"),
        (without_manifest, True, "has no good manifest"),
        (with_no_text, True, "has no good manifest"),
    ],
)
def test_a_champion_that_is_gone_or_damaged_counts_as_none_and_the_note_says_which(
    models: Models, damage: Callable[[Path], None], is_noticed: bool, why: str
) -> None:
    """is_noticed: by its content, where the checksum fits."""
    folder = models.folder("m")
    damage(folder)
    if is_noticed:
        models.save([replace(models.champion(), artifact_sha256=checksum(folder))])

    champion, reason = find_readable_champion(models)

    assert champion is None
    assert reason.startswith("The champion m counted as none: ") and why in reason
    assert load_rival(models).note == reason


@pytest.mark.parametrize("part", ["models/m", "models/m/manifest.json", "models/m/model.onnx", "models/m/mllib"])
def test_a_champion_on_a_disk_that_fails_is_met_by_the_retry(
    models: Models, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing_disk(patch, part)
        for read in (find_readable_champion, load_rival):
            with pytest.raises(FormcastError, match=r"cannot be read for now: .*Input/output error.*again") as raised:
                read(models)
            assert not isinstance(raised.value, (MissingError, DamagedError))
    assert load_rival(models).version == "m"


def test_the_files_of_a_model_are_damaged_or_cannot_be_read(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.folder("m")
    with monkeypatch.context() as patch:
        failing_disk(patch, "model.onnx")
        with pytest.raises(FormcastError, match="cannot be read for now") as raised:
            read_portable(folder)
        assert not isinstance(raised.value, DamagedError)
    (folder / PORTABLE).unlink()
    with pytest.raises(DamagedError, match="train again"):
        read_portable(folder)


@pytest.fixture
def remote(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Models]:
    """A champion with files in S3. What the table says is given: delta-rs cannot reach a server in its process."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name})
    impatient = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    monkeypatch.setattr(fs, "AwsStandardS3RetryStrategy", lambda max_attempts: impatient)
    _s3_filesystem.cache_clear()
    found = Models(Tables("s3://lake/below"))
    champion = new_champion(found)
    monkeypatch.setattr(found, "find_champion", lambda: champion)
    yield found
    _s3_filesystem.cache_clear()


@pytest.mark.parametrize(
    ("status", "requests"),
    [
        (403, "GET .*model.onnx"),
        (403, "HEAD .*models/m"),
        (403, r"GET /lake\?list"),
        (500, "."),
        (503, "GET .*part-0"),
    ],
)
def test_a_champion_in_s3_that_is_refused_is_met_by_the_retry(
    remote: Models, aws_refuses: Callable[..., None], status: int, requests: str
) -> None:
    aws_refuses(status, requests)
    with pytest.raises(FormcastError, match="s3://lake/below/models/m cannot be used") as raised:
        find_readable_champion(remote)
    assert not isinstance(raised.value, (MissingError, DamagedError))
    aws_refuses()
    assert load_rival(remote).version == "m"


def test_a_champion_beyond_a_network_that_is_gone_is_met_by_the_retry(
    remote: Models, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    _s3_filesystem.cache_clear()
    with pytest.raises(FormcastError, match="s3://lake/below/models/m cannot be used") as raised:
        find_readable_champion(remote)
    assert not isinstance(raised.value, (MissingError, DamagedError))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    _s3_filesystem.cache_clear()
    assert load_rival(remote).version == "m"
    boto3.resource("s3").Bucket("lake").objects.filter(Prefix="below/models/m/").delete()
    shutil.rmtree(remote.folder("m"))
    assert "are gone from s3://lake/below/models/m" in find_readable_champion(remote)[1]


@pytest.fixture
def context(new_context: Callable[..., StepContext]) -> StepContext:
    """A lake with two nights, of which the first is live again."""
    for run_id in ("r1", "r2", "r3"):
        night(new_context, run_id)
    found = new_context("publish", "r4", keep_generations=1)
    found.serving.generations.point(CURRENT, "r1-v1")
    return found


@pytest.mark.parametrize("part", ["serving/CURRENT", "serving/PIN", "serving/r2", "serving/r1"])
def test_nothing_is_pruned_while_a_pointer_or_a_generation_cannot_be_read(
    context: StepContext, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing_disk(patch, part)
        with pytest.raises(FormcastError, match="Input/output error"):
            context.serving.prune(1)
    kept = [manifest.generation for manifest in context.serving.generations.all()]
    assert kept == ["r3-v3", "r2-v2", "r1-v1"]
    assert context.serving.prune(1) == ["r2-v2"]


@pytest.mark.parametrize("part", ["serving/CURRENT", "serving/r1-v1/manifest.json"])
def test_what_is_live_is_not_known_while_it_cannot_be_read(
    context: StepContext, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an older dump could be taken, a rollback undone, streamed scores be kept for good."""
    serving = Serving(context.tables)
    serving.begin_rollback("r2")
    failing_disk(monkeypatch, part)
    for call in (serving.live, serving.answering, serving.unfinished_rollback, lambda: serving.begin_rollback("r1")):
        with pytest.raises(FormcastError, match=r"Input/output error.*Run the step again when that is fixed"):
            call()


def test_a_publish_waits_for_the_disk_and_heals_what_is_damaged(
    new_context: Callable[..., StepContext], lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(new_context, "r1")
    before = live(lake)
    scored(new_context, "r2")
    settings = new_context("publish", "r2").settings
    with monkeypatch.context() as patch:
        failing_disk(patch, "serving/CURRENT")
        with pytest.raises(FormcastError, match="Input/output error"):
            run_step(publish, "publish", "r2", settings)
    assert live(lake) == before

    (Path(lake) / "serving" / "r1-v1" / "manifest.json").write_bytes(b"{")
    entry = run_step(publish, "publish", "r2", settings)
    assert "Generation r1-v1, which was live, is gone or damaged: " in entry.message
    assert live(lake) != before


def test_a_generation_that_stands_but_cannot_be_read_is_not_to_be_deleted(
    context: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing_disk(patch, "r3-v3/scores.mdb")
        with pytest.raises(FormcastError, match=r"Input/output error\. Run the step again") as raised:
            context.serving.build(3)
        assert not isinstance(raised.value, DamagedError)
    (context.serving.generations.folder("r3-v3") / "scores.mdb").unlink()
    with pytest.raises(DamagedError, match=r"Delete .*/r3-v3 and publish again"):
        context.serving.build(3)
