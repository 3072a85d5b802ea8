"""One feature at a time: a distribution of counts that has the published zeros, quantiles, mean and spread."""

from statistics import NormalDist

import numpy as np

from jobs.sample.facts import FeatureFacts

_LEVELS = {"p25": 0.25, "p50": 0.50, "p75": 0.75, "p90": 0.90}
_MARGIN = 0.004  # a clamped quantile keeps this distance, so that a sample does not fall off the edge
_TAILS = (-6.0, 6.0)  # range of the power of k
_DECAYS = (-0.01, 8.0)  # range of the exponential decay


def count_cdf(facts: FeatureFacts) -> np.ndarray:
    """P(X <= k) for k = 0..max, shape (max + 1,), the last is 1.

    Positive counts follow a power law with exponential decay, p(k) ~ k^-a e^-bk: two parameters for the published
    mean and standard deviation. A published quantile that this misses is pinned, and the two are fitted anew.
    """
    pins: dict[int, float] = {0: facts.zero_share}
    for _ in range(6):
        cdf = _fit(facts, pins)
        missed = _missed_quantiles(facts, cdf)
        if not missed:
            break
        pins.update(missed)
    return cdf


def normal_cuts(cdf: np.ndarray) -> np.ndarray:
    """Cuts c, shape (max,), so that the count of cuts below a standard normal z has the distribution `cdf`."""
    inside = np.clip(cdf[:-1], 1e-12, 1 - 1e-12)
    return np.array([NormalDist().inv_cdf(p) for p in inside.tolist()])


def _missed_quantiles(facts: FeatureFacts, cdf: np.ndarray) -> dict[int, float]:
    missed = {}
    for name, level in _LEVELS.items():
        quantile = int(getattr(facts, name))
        if quantile > 1 and cdf[quantile - 1] >= level - _MARGIN / 2:
            missed[quantile - 1] = level - _MARGIN
        if 0 < quantile < facts.max and cdf[quantile] < level + _MARGIN / 2:
            missed[quantile] = level + _MARGIN
    return missed


def _fit(facts: FeatureFacts, pins: dict[int, float]) -> np.ndarray:
    if facts.max == 1:
        return np.array([facts.zero_share, 1.0])
    # For each power the decay settles the mean; a heavier power then has the larger spread: two nested bisections.
    second_moment = facts.std**2 + facts.mean**2
    k = np.arange(1, facts.max + 1, dtype=float)
    low, high = _TAILS
    for _ in range(24):
        tail = (low + high) / 2
        masses = _mean_matched(tail, k, facts.mean, pins)
        # Too steep a power cannot reach the mean at any decay: that counts as too heavy.
        if masses @ k >= 0.999 * facts.mean and masses @ (k * k) < second_moment:
            low = tail
        else:
            high = tail
    return np.append(facts.zero_share, facts.zero_share + np.cumsum(masses)).round(9)


def _mean_matched(tail: float, k: np.ndarray, mean: float, pins: dict[int, float]) -> np.ndarray:
    log_k = np.log(k)
    low, high = _DECAYS
    for _ in range(24):
        decay = (low + high) / 2
        masses = _pinned(-tail * log_k - decay * k, pins)
        if masses @ k > mean:
            low = decay
        else:
            high = decay
    return masses


def _pinned(log_weights: np.ndarray, pins: dict[int, float]) -> np.ndarray:
    """Masses of 1..max: each block between two pins has the mass that the pins leave it."""
    masses = np.empty_like(log_weights)
    edges = sorted(pins.items())
    for (start, below), (stop, upto) in zip(edges, [*edges[1:], (len(log_weights), 1.0)], strict=True):
        block = np.exp(log_weights[start:stop] - log_weights[start:stop].max())
        masses[start:stop] = block * ((upto - below) / block.sum())
    return masses
