"""The dependence between features: a Gaussian copula with the published correlations."""

from functools import cache

import numpy as np

from jobs.sample.facts import published
from jobs.sample.marginals import count_cdf, normal_cuts
from speed.contract import N_FEATURES

_TERMS = 80  # of the Hermite series
_SMALLEST_EIGENVALUE = 1e-4
_PROJECTIONS = 200
# Rare flags hardly correlate negatively at any latent correlation: a limit keeps -0.03 from becoming -0.99.
_LATENT_RANGE = (-0.35, 0.9995)


@cache
def cuts() -> tuple[np.ndarray, ...]:
    """Per feature the cuts (max,) that turn a standard normal into a count."""
    return tuple(normal_cuts(count_cdf(facts)) for facts in published().features)


@cache
def mixing() -> np.ndarray:
    """Lower triangle L, (47, 47): L @ (independent normals) has the latent correlation L @ L.T.

    Rounded, so that the last bits of a machine's linear algebra never reach the sample.
    """
    latent = latent_correlation(published().correlation, cuts())
    return np.linalg.cholesky(nearest_correlation(latent)).round(7)


def nearest_correlation(matrix: np.ndarray) -> np.ndarray:
    """The positive definite correlation matrix nearest to a symmetric `matrix` (n, n) with ones on the diagonal.

    Source: alternating projections with Dykstra's correction, Higham 2002.
    """
    current, correction = matrix.copy(), np.zeros_like(matrix)
    for _ in range(_PROJECTIONS):
        values, vectors = np.linalg.eigh(current - correction)
        definite = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
        correction = definite - (current - correction)
        current = definite.copy()
        np.fill_diagonal(current, 1.0)
    scale = np.sqrt(np.diag(definite))
    return definite / np.outer(scale, scale)


def latent_correlation(target: np.ndarray, all_cuts: tuple[np.ndarray, ...]) -> np.ndarray:
    """The correlation (47, 47) that normals need for their counts to have the Pearson correlation `target`.

    Counts that are mostly zero correlate less than the normals they are cut from. With normalised Hermite
    coefficients a of one count and b of another, cov(r) = sum_n a_n b_n r^n (Mehler's formula); solved
    for r by bisection. What no r reaches (rare flags that exclude each other) gets the nearest r that is allowed.
    """
    coefficients = np.stack([_hermite_coefficients(c) for c in all_cuts])
    norms = np.sqrt((coefficients**2).sum(axis=1))
    scaled = coefficients / norms[:, None]
    products = scaled[:, None, :] * scaled[None, :, :]
    powers = np.arange(1, _TERMS + 1)
    low, high = (np.full_like(target, limit) for limit in _LATENT_RANGE)
    for _ in range(30):
        middle = (low + high) / 2
        too_low = (products * middle[:, :, None] ** powers).sum(axis=2) < target
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    latent = (low + high) / 2
    np.fill_diagonal(latent, 1.0)
    return latent


def _hermite_coefficients(feature_cuts: np.ndarray) -> np.ndarray:
    """Coefficients 1.._TERMS of sum_k [z > c_k] in normalised Hermite polynomials: phi(c) h_{n-1}(c) / sqrt(n)."""
    density = np.exp(-(feature_cuts**2) / 2) / np.sqrt(2 * np.pi)
    before, current = np.zeros_like(feature_cuts), np.ones_like(feature_cuts)
    result = np.empty(_TERMS)
    for n in range(1, _TERMS + 1):
        result[n - 1] = (density * current).sum() / np.sqrt(n)
        before, current = current, (feature_cuts * current - np.sqrt(n - 1) * before) / np.sqrt(n)
    return result


def draw_vectors(rng: np.random.Generator, n: int) -> np.ndarray:
    """n feature vectors, (n, 47) int16, counts with the published marginals and dependence."""
    independent = rng.standard_normal((N_FEATURES, n))
    vectors = np.empty((n, N_FEATURES), dtype=np.int16)
    for j, row in enumerate(mixing()):
        # A fixed order of additions: a BLAS would add in an order that depends on its threads.
        normal = row[0] * independent[0]
        for weight, column in zip(row[1 : j + 1], independent[1 : j + 1], strict=True):
            normal += weight * column
        vectors[:, j] = np.searchsorted(cuts()[j], normal)
    return vectors
