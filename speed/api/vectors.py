"""Many vectors as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from speed.api import problems
from speed.api.bodies import checked
from speed.api.problems import ProblemError


class Vectors(NamedTuple):
    """features: (n, 47). views: (n,), NaN for none."""

    features: NDArray[np.float64]
    views: NDArray[np.float64]


def check_count(count: int, limit: int) -> None:
    """Raises ProblemError for more vectors than one request may have."""
    if count > limit:
        raise ProblemError(
            problems.TOO_LARGE, f"There are {count:,} vectors, and {limit:,} may be: send them in parts."
        )


def check_vectors(vectors: Vectors) -> None:
    """Raises ProblemError for the first vector that breaks the contract, and for the first negative views."""
    good = ((vectors.features >= 0) & np.isfinite(vectors.features)).all(axis=1)
    if not good.all():
        index = int(good.argmin())
        checked(vectors.features[index].tolist(), index)
    if (negative := vectors.views < 0).any():
        index = int(negative.argmax())
        raise ProblemError(problems.BAD_BODY, f"Vector {index} (from 0): its views are negative.", index=index)
