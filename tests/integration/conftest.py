"""Leaves out tests that need a browser, PostgreSQL or strace where there is none, and says so; CI must have all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.postgres import PROGRAMS, Postgres, running_postgres

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)

# To install them takes root, so `make setup` leaves them out; .ci/run does not.
_MISSING = {
    "test_page.py": None
    if CHROMIUM
    else "The page was not tested, for want of a browser: install one (`apt-get install chromium`), "
    "or name one in CHROMIUM.",
    "test_export_postgres.py": None
    if PROGRAMS
    else "The export to PostgreSQL was not tested, for want of a server: install one (`apt-get install postgresql`).",
    "test_telemetry.py": None
    if shutil.which("strace")
    else "Whether the scorer stays silent was not tested: install strace (`apt-get install strace`).",
}
collect_ignore = [] if os.environ.get("CI") == "true" else [file for file, told in _MISSING.items() if told]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for file in collect_ignore:
        terminalreporter.write_line(str(_MISSING[file]), yellow=True)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    if CHROMIUM is None:
        pytest.fail("There is no browser to test the page with: install chromium, or name one in CHROMIUM.")
    return CHROMIUM


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One cluster for the whole run. Ask for `postgres`: it starts empty for each test."""
    if PROGRAMS is None:
        pytest.fail("There is no PostgreSQL to export to: install it (`apt-get install postgresql`).")
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    postgres_server.empty()
    return postgres_server
