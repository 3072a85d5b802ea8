"""Form ids: unique, spread like the published ones, in no order."""

from dataclasses import dataclass
from math import gcd

import numpy as np

from jobs.sample.facts import published

MAX_IDS = 1_000_000_000  # beyond it the 64-bit products below would overflow
_ROOM = 4  # ids that a form has to itself at least, or the published range is stretched


@dataclass(frozen=True)
class FormIds:
    """Ids of `total` forms. The k-th form (0-based) has rank (stride k + offset) mod total.

    Each rank has a slot of its own. A quarter of the forms lies between each two published quantiles.
    """

    total: int
    stride: int
    offset: int

    @classmethod
    def create(cls, total: int, seed: int) -> "FormIds":
        """total in 1..MAX_IDS."""
        stride = max(1, int(total * 0.6180339887))
        while gcd(stride, total) != 1:
            stride += 1
        return cls(total, stride, seed * 7919 % total)

    def take(self, rng: np.random.Generator, start: int, stop: int) -> np.ndarray:
        """Ids of the forms start..stop-1, (stop - start,) int64. The place within a slot is random."""
        rank = (np.arange(start, stop, dtype=np.int64) * self.stride + self.offset) % self.total
        first_ranks = np.array([quarter * self.total // 4 for quarter in range(5)])
        bounds = np.array(published().form_id, dtype=np.int64)
        sizes, widths = np.diff(first_ranks), np.diff(bounds)
        stretch = max(1, int((-(-_ROOM * sizes // widths)).max()))

        quarter = np.searchsorted(first_ranks, rank, side="right") - 1
        size, width = sizes[quarter], widths[quarter] * stretch
        slot = (rank - first_ranks[quarter]) * width // size
        jitter = (rng.random(len(rank)) * (width // size)).astype(np.int64)
        return bounds[quarter] * stretch + slot + jitter
