"""Views and submissions of a form, given its features."""

from statistics import NormalDist

import numpy as np

from jobs.sample.effects import SIGNAL_VARIANCE, signal
from jobs.sample.facts import published

# Quantiles of the rate that a form has at heart. Narrower than the published rates, which carry the binomial
# noise of their views as well; together they give the published quartiles.
_RATE_LEVELS = (0.0005, 0.005, 0.02, 0.05, 0.10, 0.25, 0.4443, 0.50, 0.75, 0.90, 0.95, 0.98, 0.995, 0.9995)
_RATES = (0.005, 0.025, 0.07, 0.135, 0.203, 0.359, 0.503, 0.533, 0.682, 0.785, 0.84, 0.89, 0.935, 0.985)

# Below p25 nothing but the minimum is published: these levels were chosen.
_LOW_VIEWS = {1e-6: 1, 0.0005: 1, 0.01: 8, 0.05: 15, 0.10: 20}
_TAIL_POWER = 1.08  # P(views > v) ~ v^-1.08 above p90: the published mean needs about this

# Forms with many views complete less: published submissions are lower than independence would make them.
_RATE_VIEWS_DEPENDENCE = -0.3


def draw_outcomes(rng: np.random.Generator, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views and submissions, both (n,) int64 with 0 <= submissions <= views and views >= 1.

    vectors: (n, 47) counts.
    """
    noise = rng.standard_normal(len(vectors))
    latent = signal(vectors) + np.sqrt(1 - SIGNAL_VARIANCE) * noise
    # Rounded: the last bit of a logarithm differs between machines and must not reach the binomial draw.
    rate = np.interp(latent, _normal(_RATE_LEVELS), _RATES).round(6)

    independent = rng.standard_normal(len(vectors))
    depends = _RATE_VIEWS_DEPENDENCE
    levels, values = _views_quantiles()
    log_views = np.interp(depends * noise + np.sqrt(1 - depends**2) * independent, levels, values)
    views = np.maximum(np.rint(np.exp(log_views.round(9))), 1).astype(np.int64)
    return views, rng.binomial(views, rate)


def _views_quantiles() -> tuple[np.ndarray, np.ndarray]:
    """Normal levels and logarithms of views: chosen below p25, published up to p90, a power law up to the maximum."""
    views = published().views
    known = {**_LOW_VIEWS, 0.25: views["p25"], 0.50: views["p50"], 0.75: views["p75"], 0.90: views["p90"]}
    above = 0.1 * 10.0 ** -np.linspace(0.25, 5.25, 21)
    tail = np.minimum(views["p90"] * (0.1 / above) ** (1 / _TAIL_POWER), views["max"])
    return _normal((*known, *(1 - above))), np.log([*known.values(), *tail])


def _normal(levels: tuple[float, ...]) -> np.ndarray:
    return np.array([NormalDist().inv_cdf(float(level)) for level in levels])
