"""Leaves the browser's tests out where there is no browser, and says so; CI must have one."""

from __future__ import annotations

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)

# To install a browser takes root, so `make setup` leaves it out; .ci/run does not.
collect_ignore = [] if CHROMIUM or os.environ.get("CI") == "true" else ["test_page.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line(
            "The page was not tested, for want of a browser: install one (`apt-get install chromium`), "
            "or name one in CHROMIUM.",
            yellow=True,
        )


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    if CHROMIUM is None:
        pytest.fail("There is no browser to test the page with: install chromium, or name one in CHROMIUM.")
    return CHROMIUM
