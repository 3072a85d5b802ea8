"""`formcast export` to files: DuckDB reads them back as what the table holds, and a file that failed is not there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow.parquet as pq
import pytest

from jobs.commands.export import export
from jobs.edge import export_files
from jobs.edge.export_files import write_file
from jobs.edge.export_source import predictions_of
from jobs.edge.tables import Tables
from jobs.errors import FormcastError, MissingError, UsageError
from jobs.schemas import PREDICTIONS
from tests.exports import night, table_rows

_DUCKDB_TYPES = {"string": "varchar", "double": "double", "int64": "bigint", "timestamp[us, tz=UTC]": "timestamptz"}
COLUMNS = {field.name: _DUCKDB_TYPES[str(field.type)] for field in PREDICTIONS}


@pytest.fixture(autouse=True)
def many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.edge.tables.ROWS_A_BATCH", 10_000)


def read(file: Path) -> list[tuple[Any, ...]]:
    csv = f"read_csv('{file}', header = true, columns = {COLUMNS}, quote = '\"', escape = '\"')"
    source = csv if "csv" in file.name else f"read_parquet('{file}')"
    with duckdb.connect() as connection:
        found = connection.sql(f"select * from {source} order by form_id").to_arrow_table()
        return [tuple(row.values()) for row in found.to_pylist()]


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.csv.gz"])
def test_a_file_is_the_table_and_replaces_the_last_one(name: str, lake: str, tmp_path: Path) -> None:
    file = tmp_path / "new" / name
    first = night(lake, "r1", 25_000)
    export(str(file), lake)
    assert read(file) == table_rows(lake)
    night(lake, "r2", 20)
    export(str(file), lake)
    assert read(file) == table_rows(lake)
    export(str(file), lake, run_id="r1")
    assert read(file) == table_rows(lake, first)
    assert [path.name for path in file.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["p.parquet", "p.csv.gz"])
def test_what_fails_in_the_middle_leaves_the_old_file_alone(name: str, lake: str, tmp_path: Path) -> None:
    file = tmp_path / "out" / name
    night(lake, "r1")
    export(str(file), lake)
    before = file.read_bytes()
    night(lake, "r2", 25_000)
    predictions = predictions_of(Tables(lake))

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(predictions, str(file), stop)
    newest = max(Path(lake, "predictions").glob("*.parquet"), key=lambda path: path.stat().st_size)
    newest.unlink()
    with pytest.raises(FormcastError, match="Version 2 of predictions cannot be read"):
        write_file(predictions, str(file), lambda _: None)
    with pytest.raises(MissingError, match="Version 2 of predictions cannot be read"):
        export(str(file), lake)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [name]


def test_from_and_to_s3(aws: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="out", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    night(lake, "r1", 25_000)
    export("s3://out/below/p.parquet", lake)
    found = pq.read_table(io.BytesIO(client.get_object(Bucket="out", Key="below/p.parquet")["Body"].read()))
    assert sorted((tuple(row.values()) for row in found.to_pylist()), key=lambda row: row[0].encode()) == table_rows(
        lake
    )
    assert found.schema.metadata[b"formcast"].startswith(b"predictions of run r1 by model m-r1")
    assert [one["Key"] for one in client.list_objects_v2(Bucket="out")["Contents"]] == ["below/p.parquet"]

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setitem(export_files.WRITERS, ".parquet", fail)
    with pytest.raises(FormcastError, match="no space left"):
        export("s3://out/below/other.parquet", lake)
    with pytest.raises(FormcastError, match=r"s3://nowhere/p\.csv cannot be written"):
        export("s3://nowhere/p.csv", lake)
    assert client.list_objects_v2(Bucket="out")["KeyCount"] == 1


def test_what_cannot_be_exported_is_said_in_a_sentence(lake: str, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="Nothing is published yet"):
        export(str(tmp_path / "p.csv"), lake)
    night(lake, "r1")
    with pytest.raises(MissingError, match="Run 'r9' scored no forms"):
        export(str(tmp_path / "p.csv"), lake, run_id="r9")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FormcastError, match=r"folder\.csv cannot be written"):
        export(str(tmp_path / "folder.csv"), lake)
    for to in ("p.xlsx", "", ".csv", "mysql://u:secret@h/p.csv"):
        with pytest.raises(UsageError, match=r"must be a file .* ends in \.parquet, \.csv\.gz, \.csv") as told:
            export(to, lake)
        assert "secret" not in str(told.value)
