"""Feature vectors of a run: most drawn afresh, some repeated from a pool."""

from dataclasses import dataclass

import numpy as np

from jobs.sample.copula import draw_vectors

# Many real forms share all 47 values. How many is not published. Short forms coincide by themselves (about 40 % of
# the fresh vectors of half a million); this share on top are copies of a template, long forms among them.
REPEATED_SHARE = 0.2
POOL_SIZE = 5_000
_POPULARITY = 1.5  # 1 is uniform; above it the first templates of the pool are copied most


@dataclass(frozen=True)
class VectorSource:
    """pool: (POOL_SIZE, 47) int16, the templates that forms of this run share."""

    pool: np.ndarray

    @classmethod
    def create(cls, rng: np.random.Generator) -> "VectorSource":
        """A source with its own pool of templates."""
        return cls(draw_vectors(rng, POOL_SIZE))

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n vectors of counts, (n, 47) int16."""
        vectors = draw_vectors(rng, n)
        repeated = np.flatnonzero(rng.random(n) < REPEATED_SHARE)
        vectors[repeated] = self.pool[(POOL_SIZE * rng.random(len(repeated)) ** _POPULARITY).astype(np.int64)]
        return vectors
