"""Predictions to PostgreSQL: the address, the connection, one transaction, and its errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from jobs.edge.export_source import Advance, Predictions
from jobs.edge.export_table import ExportTable
from jobs.errors import FormcastError, MissingError, UsageError

SCHEMES = ("postgres://", "postgresql://")
CONNECT_SECONDS = 10
MAX_NAME_BYTES = 49
"""PostgreSQL cuts names at 63 bytes, and those of partitions are longer than the table's."""


@dataclass(frozen=True)
class Address:
    """What libpq connects with, and the table's name; its schema is empty where none was given."""

    connect: dict[str, object]
    schema: str
    table: str


def read_address(url: str) -> Address:
    """`postgres://user@host:port/database?table=schema.table`; all but `table` is libpq's own.

    Raises UsageError, which does not repeat the address: a password may stand in it.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        schema, _, table = options.pop("table", "predictions").rpartition(".")
        connect = conninfo_to_dict(urlunsplit(parts._replace(query=urlencode(options))))
    except (ValueError, psycopg.Error):
        raise UsageError(
            "The database's address cannot be read: write postgres://user@host:5432/database?table=predictions, "
            "with special characters percent-encoded."
        ) from None
    if not 0 < len(table.encode()) <= MAX_NAME_BYTES:
        raise UsageError(f"The table's name must have 1 to {MAX_NAME_BYTES} bytes, and {table!r} has not.")
    own: dict[str, object] = {"connect_timeout": CONNECT_SECONDS, "application_name": "formcast export"}
    return Address(own | connect | {"client_encoding": "UTF8"}, schema, table)


def copy_to(address: Address, predictions: Predictions, advance: Advance, *, again: bool = False) -> tuple[str, bool]:
    """Put predictions in the place of what the table holds; answers where, and whether: not where they are there.

    Raises FormcastError where it cannot be done; then nothing has changed.
    """
    with _plain_errors():
        connection = psycopg.connect(**address.connect)  # type: ignore[arg-type]
        info = connection.info
        place = f"{info.dbname} at {info.host}:{info.port}"
    with _plain_errors(f" of {place}"), connection:
        table = ExportTable.open(connection, address.schema, address.table)
        if table.holds(predictions) and not again:
            return f"{table} of {place}", False
        table.load(predictions, advance)
        return f"{table} of {place}", True


@contextmanager
def _plain_errors(place: str = "") -> Iterator[None]:
    """What PostgreSQL says, without a trace: its statements are ours, and its reasons are the administrator's."""
    try:
        yield
    except psycopg.Error as error:
        reason = error.diag.message_primary or next(iter(str(error).splitlines()), type(error).__name__)
        if not place:
            hint = " It is read from PGPASSWORD or ~/.pgpass." if "password" in reason else ""
            raise MissingError(f"PostgreSQL cannot be reached: {reason.rstrip('.')}.{hint}") from None
        raise FormcastError(f"PostgreSQL{place} refused the export, and nothing has changed: {reason}.") from None
