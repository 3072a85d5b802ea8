"""A throw-away PostgreSQL for tests: its own cluster in a temporary folder, reached by socket or by password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = "s3cret"  # noqa: S105 - of this cluster alone
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
PROGRAMS = next((path for path in (shutil.which("initdb"), *(_DEBIAN[-1:])) if path), None)


class Postgres:
    """A running cluster. `url`: trusted, by its socket. `by_password`: user formcast, without the password."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"postgres://formcast@/postgres?host={folder}&port={port}"
        self.by_password = f"postgres://formcast@127.0.0.1:{port}/postgres"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def empty(self) -> None:
        with self.connect() as connection:
            connection.execute("drop schema public cascade; create schema public")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    programs = Path(str(PROGRAMS))
    programs = programs if programs.is_dir() else programs.parent
    folder = Path(tempfile.mkdtemp(prefix="formcast-pg-"))
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    as_user = _unprivileged(folder, secret)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "--pgdata", str(data), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **as_user)
        assert done.returncode == 0, f"{program}: {done.stderr}{done.stdout}"

    def start() -> int:
        """Its port. One that is free now may be another's a moment later: then the next is tried."""
        for last in (False, False, False, True):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = int(free.getsockname()[1])
            options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=20"
            try:
                run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "--options", options)
            except AssertionError:
                if last or "could not bind" not in (folder / "log").read_text():
                    raise
            else:
                return port
        raise AssertionError("no port is free")

    try:
        who = ["--username", "formcast", "--pwfile", str(secret), "--auth-local", "trust"]
        run("initdb", *who, "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
        port = start()
        try:
            yield Postgres(folder, port)
        finally:
            run("pg_ctl", "stop", "--mode", "immediate")
    finally:
        shutil.rmtree(folder)


def _unprivileged(*paths: Path) -> dict[str, object]:
    """How a child is started as somebody else, for PostgreSQL does not run as root; the paths become theirs."""
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
