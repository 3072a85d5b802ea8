"""What the stores of the speed layer say, as errors of a step: what is lost apart from what is unreadable for now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import DamagedError, FormcastError
from speed.errors import SpeedError, StoreDamagedError, StoreMissingError

LOST = (StoreMissingError, StoreDamagedError)


@contextmanager
def plain_sentences(lost: str = "Publish again.") -> Iterator[None]:
    """Raise what a store says as FormcastError, with what to do. lost: the remedy if files are gone or damaged."""
    try:
        yield
    except LOST as error:
        raise DamagedError(f"{error} {lost}") from error
    except SpeedError as error:
        raise FormcastError(f"{error} Run the step again when that is fixed.") from error
