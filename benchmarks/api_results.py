"""What is measured of the API under load."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.api_batch import Batch
from benchmarks.api_load import Load
from benchmarks.api_memory import Memory, Seen, largest
from benchmarks.api_steady import Steady


@dataclass(frozen=True)
class Flow:
    """middle: medians of the rounds. rates: requests a second of each."""

    middle: Load
    rates: list[float]


@dataclass(frozen=True)
class Held:
    """Memory before, during and after a long full load; of each figure that of the worker that had most."""

    seconds: int
    before: Memory
    seen: list[Seen]
    after: Memory
    flow: Load

    @property
    def peak(self) -> Memory:
        return largest([largest(one.workers) for one in self.seen])

    def grown(self) -> float:
        """MB by which a worker's own memory differs, in the median, from the first fifth of the load to the last."""
        fifth = max(1, len(self.seen) // 5)
        early, late = self.seen[:fifth], self.seen[-fifth:]
        return max(
            median(one.workers[at].own for one in late) - median(one.workers[at].own for one in early)
            for at in range(len(self.seen[0].workers))
        )


@dataclass(frozen=True)
class Results:
    """busy: programs at work on the machine beforehand. starts: seconds to ready.

    at_swaps: MB of RSS that a worker had at most until generations had been swapped.
    """

    command: str
    busy: float
    forms: int
    starts: list[float]
    flows: dict[str, Flow]
    calm: Steady
    swapped: Steady
    at_swaps: float
    batches: dict[str, Batch]
    held: Held
