"""The table of PostgreSQL that holds predictions: readers see one whole version of it, or the other.

It is partitioned, and all its rows are in one partition. A new version is loaded into a table that nobody sees, which
then takes the partition's place. So the table itself stays, with its grants, views, policies and indexes.
"""

from __future__ import annotations

import time
from typing import Any, LiteralString
from uuid import uuid4

import pyarrow as pa
from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from jobs.edge.export_source import Advance, Predictions, csv_bytes
from jobs.errors import FormcastError, MissingError
from jobs.schemas import PREDICTIONS

SWAP_TRIES, SWAP_PAUSE_SECONDS, SWAP_WAIT = 60, 5, "2s"
"""A swap waits for those who read, and while it waits nobody else may begin to: so it waits shortly, and often."""

_KEY = PREDICTIONS.names[0]
_TYPES = {pa.string(): "text", pa.int64(): "bigint", pa.float64(): "double precision"}
_COLUMNS = [
    (field.name, _TYPES.get(field.type, "timestamp with time zone"), not field.nullable) for field in PREDICTIONS
]


class ExportTable:
    """The table in the one transaction of a connection. Every method may raise psycopg.Error."""

    def __init__(self, connection: Connection, schema: str, table: str) -> None:
        self._connection, self._schema, self._table = connection, schema, table
        self._name = sql.Identifier(schema, table)

    def __str__(self) -> str:
        return f"{self._schema}.{self._table}"

    @classmethod
    def open(cls, connection: Connection, schema: str, table: str) -> ExportTable:
        """The table, made where it is not there, and held against other exports until the transaction ends.

        Raises MissingError without its schema, FormcastError where another export is writing it, or its name is
        that of a table of another kind. schema: empty for the connection's own.
        """
        # What administrators limit with these is queries of people, not the load of a night.
        connection.execute("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0")
        look = "select nspname from pg_namespace where nspname = coalesce(nullif(%s, ''), current_schema())"
        if not (found := connection.execute(look, [schema]).fetchone()):
            raise MissingError(f"The database has no schema {schema or 'public'!r}: create it, or name another.")
        opened = cls(connection, found[0], table)
        if not opened._value("select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", f"formcast {opened}"):
            raise FormcastError(f"Another export is writing {opened}: wait until it has ended.")
        opened._create()
        opened._check()
        return opened

    def holds(self, predictions: Predictions) -> bool:
        """Whether these are what the table holds, as its comment says."""
        return bool(
            self._value("select obj_description(%s::regclass, 'pg_class')", self._regclass) == str(predictions)
        )

    def load(self, predictions: Predictions, advance: Advance) -> None:
        """Load a new partition, and let it take the old one's place. Raises FormcastError while the table is read."""
        part = sql.Identifier(self._schema, f"{self._table}_{uuid4().hex[:12]}")
        self._run("create table {part} (like {table} including defaults including constraints)", part=part)
        self._copy(part, predictions, advance)
        self._run("alter table {part} add primary key ({key})", part=part)
        for unique, definition in self._indexes():
            self._run(
                "create {unique} index on {part} using {definition}", part=part, unique=unique, definition=definition
            )
        self._run("analyze {part}", part=part)
        self._lock()
        for old in self._parts():
            self._run("drop table {old}", old=old)
        self._run("alter table {table} attach partition {part} for values from (minvalue) to (maxvalue)", part=part)
        self._run("comment on table {table} is {says}", says=sql.Literal(str(predictions)))

    def _create(self) -> None:
        """Ids are codes, not words: compared as bytes they sort faster, and no update of a locale moves them."""
        columns = [
            f'"{name}" {kind}' + (' collate "C"' if name == _KEY else "") + (" not null" if needed else "")
            for name, kind, needed in _COLUMNS
        ]
        listed = ", ".join(columns)
        self._run(
            f"create table if not exists {{table}} ({listed}, primary key ({{key}})) partition by range ({{key}})"
        )

    def _check(self) -> None:
        """Raises FormcastError where the table is not as `_create` makes it."""
        kind = self._value("select pg_get_partkeydef(%s::regclass)", self._regclass) or ""
        found = self._rows(
            "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum"
        )
        if not kind.startswith(f"RANGE ({_KEY}"):
            raise FormcastError(
                f"{self} is there, and no export made it: name another table with ?table=, or rename that one."
            )
        if found != _COLUMNS:
            told = ", ".join(f"{name} {kind}" for name, kind, _ in sorted(set(found) ^ set(_COLUMNS)))
            raise FormcastError(
                f"{self} has other columns than predictions (see {told or 'their order'}): name another table with "
                "?table=, or rename that one."
            )

    def _copy(self, part: sql.Identifier, predictions: Predictions, advance: Advance) -> None:
        # Frozen rows are seen by transactions that began before the swap, too: they would find an empty table else.
        statement = sql.SQL("copy {} from stdin (format csv, freeze)").format(part)
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for batch in predictions.batches(advance):
                    copy.write(csv_bytes(batch))
            if cursor.rowcount != predictions.at.rows:
                raise FormcastError(f"PostgreSQL took {cursor.rowcount:,} of {predictions.at.rows:,} predictions.")

    def _indexes(self) -> list[tuple[sql.SQL, sql.SQL]]:
        """What somebody has indexed beside the key: (unique or nothing, the definition after USING)."""
        found = self._rows(
            "select indisunique, pg_get_indexdef(indexrelid) from pg_index "
            "where indrelid = %s::regclass and not indisprimary"
        )
        return [(sql.SQL("unique" if unique else ""), _sql(text.partition(" USING ")[2])) for unique, text in found]

    def _parts(self) -> list[sql.Identifier]:
        found = self._rows(
            "select nspname, relname from pg_inherits join pg_class on pg_class.oid = inhrelid "
            "join pg_namespace on pg_namespace.oid = relnamespace where inhparent = %s::regclass"
        )
        return [sql.Identifier(*names) for names in found]

    def _lock(self) -> None:
        for _ in range(SWAP_TRIES):
            try:
                with self._connection.transaction():  # a savepoint
                    self._run(f"set local lock_timeout = '{SWAP_WAIT}'")
                    self._run("lock table {table} in access exclusive mode")
                    return
            except LockNotAvailable:
                time.sleep(SWAP_PAUSE_SECONDS)
        raise FormcastError(
            f"{self} is being read without a pause, and nothing has changed: export again when that has ended "
            "(pg_stat_activity says who reads)."
        )

    @property
    def _regclass(self) -> str:
        return self._name.as_string(self._connection)

    def _run(self, statement: str, **names: sql.Composable) -> None:
        known = {"table": self._name, "key": sql.Identifier(_KEY)} | names
        self._connection.execute(_sql(statement).format(**known))

    def _rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """query: about the table, its one parameter."""
        return self._connection.execute(query, [self._regclass]).fetchall()

    def _value(self, query: LiteralString, parameter: str) -> Any:
        row = self._connection.execute(query, [parameter]).fetchone()
        return row[0] if row else None


def _sql(text: str) -> sql.SQL:
    """Text that is SQL: written here, or by PostgreSQL itself."""
    return sql.SQL(text)
