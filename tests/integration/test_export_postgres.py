"""`formcast export` to a real PostgreSQL: whole tables compared, swaps under readers, kills, and what it refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import Any

import psycopg
import pytest

from jobs.cli import main
from jobs.commands.export import export
from jobs.edge import export_postgres, export_table
from jobs.edge.export_source import predictions_of
from jobs.edge.tables import Tables
from jobs.errors import FormcastError
from tests.exports import night, table_rows
from tests.integration.test_api import until
from tests.postgres import PASSWORD, Postgres

ALL = "select * from predictions order by form_id"
RUNS = "select run_id, count(*)::int from predictions group by run_id"
RELATIONS = (
    "select relname, relkind, pg_relation_filenode(oid) from pg_class where relnamespace = 'public'::regnamespace"
)


def ask(postgres: Postgres, query: str) -> list[Any]:
    with postgres.connect() as connection:
        return connection.execute(query).fetchall()


def test_the_table_is_the_lakes_and_the_same_version_is_not_loaded_twice(
    postgres: Postgres, lake: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.edge.tables.ROWS_A_BATCH", 10_000)
    first = night(lake, "r1", 50_000)
    export(postgres.url, lake)
    assert ask(postgres, ALL) == table_rows(lake)
    (said,) = ask(postgres, "select obj_description('predictions'::regclass)")[0]
    assert said == (
        f"predictions of run r1 by model m-r1: table version {first}, scored 2026-11-20 02:00:00 UTC, 50,000 forms"
    )

    before = ask(postgres, RELATIONS)
    export(postgres.url, lake)
    assert ask(postgres, RELATIONS) == before
    export(postgres.url, lake, again=True)
    assert ask(postgres, RELATIONS) != before and len(ask(postgres, RELATIONS)) == len(before)
    assert ask(postgres, ALL) == table_rows(lake)

    night(lake, "r2", 20)
    export(postgres.url, lake)
    assert ask(postgres, ALL) == table_rows(lake)
    export(postgres.url, lake, run_id="r1")
    assert ask(postgres, ALL) == table_rows(lake, first)
    outs = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line.split(" ", 1)[0] for line in outs] == ["public.predictions"] * 5


def test_what_others_have_made_of_the_table_stays(postgres: Postgres, lake: str) -> None:
    night(lake, "r1")
    url = f"{postgres.url}&table=Score%20s.fo%7Bo%7D"
    with postgres.connect() as connection:
        connection.execute(
            """
            drop schema if exists "Score s" cascade; drop role if exists analyst; create role analyst;
            create schema "Score s"; grant usage on schema "Score s" to analyst;
            """
        )
        export(url, lake)
        connection.execute(
            """
            set search_path to "Score s", public;
            grant select (form_id, predicted_rate) on "fo{o}" to analyst;
            create index "by {rate}" on "fo{o}" (predicted_rate) where run_id <> '{}';
            create view good as select form_id from "fo{o}" where predicted_rate > 0.5;
            alter table "fo{o}" enable row level security;
            create policy most on "fo{o}" to analyst using (form_id <> '10');
            """
        )
        night(lake, "r2", 30)
        export(url, lake)

        rows = table_rows(lake)
        assert connection.execute('select * from "fo{o}" order by form_id').fetchall() == rows
        assert connection.execute("select * from good order by form_id").fetchall() == [
            row[:1] for row in rows if row[1] > 0.5
        ]
        connection.execute("set enable_seqscan = off")
        explain = """explain select 1 from "fo{o}" where predicted_rate = 0.1 and run_id <> '{}'"""
        assert "Index" in str(connection.execute(explain).fetchall())
        connection.execute("set role analyst")
        seen = connection.execute('select form_id, predicted_rate from "fo{o}" order by form_id').fetchall()
        assert seen == [row[:2] for row in rows if row[0] != "10"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute('select * from "fo{o}"')


def test_readers_see_one_whole_version(postgres: Postgres, lake: str) -> None:
    versions = {"r1": 11_000, "r2": 12_000}
    for run_id, count in versions.items():
        night(lake, run_id, count)
    export(postgres.url, lake)
    done, seen, errors = threading.Event(), set(), []

    def read() -> None:
        with postgres.connect() as connection:
            while not done.is_set():
                try:
                    seen.add(tuple(connection.execute(RUNS).fetchall()))
                except psycopg.Error as error:
                    errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    with psycopg.connect(postgres.url) as early:
        early.execute("set transaction isolation level repeatable read; select 1")  # its snapshot is of before
        for reader in readers:
            reader.start()
        for _ in range(3):
            for run_id in versions:
                export(postgres.url, lake, run_id=run_id)
        assert early.execute(RUNS).fetchall() == [("r2", 12_000)]
    done.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert seen == {((run_id, count),) for run_id, count in versions.items()}


def test_a_killed_export_leaves_nothing_and_the_next_one_goes_through(postgres: Postgres, lake: str) -> None:
    night(lake, "r1")
    export(postgres.url, lake)
    night(lake, "r2", 2_000)
    before = ask(postgres, RELATIONS)
    waiting = "select count(*) from pg_stat_activity where application_name = 'formcast export'"
    with psycopg.connect(postgres.url) as reader:  # the export has loaded all, and waits to swap
        reader.execute("select from predictions limit 1")
        process = subprocess.Popen([sys.executable, "-m", "jobs", "export", "--to", postgres.url, "--lake", lake])
        until(lambda: ask(postgres, f"{waiting} and wait_event_type = 'Lock'")[0][0])
        with pytest.raises(FormcastError, match=r"Another export is writing public\.predictions"):
            export(postgres.url, lake)
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not ask(postgres, waiting)[0][0])
    assert (ask(postgres, RELATIONS), ask(postgres, RUNS)) == (before, [("r1", 1_000)])
    export(postgres.url, lake)
    assert ask(postgres, ALL) == table_rows(lake)


def test_a_lost_connection_changes_nothing(postgres: Postgres, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.edge.tables.ROWS_A_BATCH", 1_000)
    night(lake, "r1", 20_000)
    address = export_postgres.read_address(postgres.url)

    def lose(_: int) -> None:
        kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'formcast export'"
        ask(postgres, kill)

    with pytest.raises(FormcastError, match="refused the export, and nothing has changed"):
        export_postgres.copy_to(address, predictions_of(Tables(lake)), lose)
    assert ask(postgres, RELATIONS) == []


def test_a_table_that_is_read_for_too_long_is_let_be(
    postgres: Postgres, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SWAP_TRIES", 2), ("SWAP_PAUSE_SECONDS", 0), ("SWAP_WAIT", "50ms")):
        monkeypatch.setattr(export_table, name, value)
    night(lake, "r1")
    export(postgres.url, lake)
    night(lake, "r2", 2_000)
    with psycopg.connect(postgres.url) as reader:
        reader.execute("select from predictions limit 1")
        with pytest.raises(FormcastError, match="is being read without a pause"):
            export(postgres.url, lake)
    assert ask(postgres, RUNS) == [("r1", 1_000)]
    export(postgres.url, lake)
    assert ask(postgres, RUNS) == [("r2", 2_000)]


@pytest.mark.parametrize(
    ("prepare", "query", "sentence"),
    [
        ("create table predictions (form_id text)", "", "no export made it"),
        ("create view predictions as select 1 as form_id", "", "no export made it"),
        ("create table predictions (form_id text) partition by range (form_id)", "", "has other columns"),
        ("", "&table=nowhere.predictions", "no schema 'nowhere'"),
    ],
)
def test_a_table_of_somebody_else_is_let_be(
    prepare: str, query: str, sentence: str, postgres: Postgres, lake: str
) -> None:
    night(lake, "r1")
    with postgres.connect() as connection:
        connection.execute(prepare)
        before = connection.execute(RELATIONS).fetchall()
        with pytest.raises(FormcastError, match=sentence):
            export(f"{postgres.url}{query}", lake)
        assert connection.execute(RELATIONS).fetchall() == before


def test_a_password_is_taken_from_where_libpq_takes_it_and_told_to_nobody(
    postgres: Postgres, lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night(lake, "r1")
    monkeypatch.setattr(sys, "argv", ["formcast", "export", "--lake", lake])
    monkeypatch.setenv("PGPASSFILE", "/dev/null")

    def run(url: str) -> tuple[int, str]:
        monkeypatch.setenv("FORMCAST_EXPORT_TO", url)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, "".join(capsys.readouterr())

    with_it = postgres.by_password.replace("formcast@", f"formcast:{PASSWORD}@")
    told = {
        "none": run(postgres.by_password),
        "wrong": run(with_it.replace(PASSWORD, f"{PASSWORD}-wrong")),
        "unreadable": run(with_it.replace(PASSWORD, f"{PASSWORD}%zz")),
        "typo": run(with_it.replace("postgres://", "postgress://")),
        "option": run(f"{with_it}?sslmod={PASSWORD}"),
        "address": run(with_it),
    }
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    told["environment"] = run(postgres.by_password)

    codes = {name: code for name, (code, _) in told.items()}
    assert codes == dict.fromkeys(told, 0) | {"none": 4, "wrong": 4, "unreadable": 2, "typo": 2, "option": 2}
    assert "no password supplied" in told["none"][1]
    assert "now holds" in told["address"][1] and "holds already" in told["environment"][1]
    assert not [said for _, said in told.values() if PASSWORD in said or "Traceback" in said]
