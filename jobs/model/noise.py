"""What no model can explain: a rate of few views is a noisy proportion. Pure numpy and scipy.

The floor is what a model would score that knew each form's true chance p of a submission, as y ~ Binomial(v, p) / v.
What sets forms of equal features apart is no noise in this sense: more features might explain it.
"""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.special import betainc

from jobs.model.intervals import overdispersion
from jobs.model.losses import Array, losses
from jobs.model.metrics import evaluate

_DRAWS = 200_000  # of true chances, so that a floor is known to about 0.3 %
_MOST_VIEWS = 1e6  # in binomials: beyond, they are normal, and scipy and numpy take the longer, up to for ever
_MOST_RHO = 0.99  # a prior of no weight at all would put all chances on 0 or 1


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """The least loss, and the largest R2, that any model can reach. explained: by metric, of the best constant's way
    to the floor, the share that the model has come; a metric is missing where there is nothing to explain.
    """

    mae: float
    rmse: float
    r2: float
    deviance: float
    weighted_mae: float
    weighted_rmse: float
    weighted_r2: float
    explained: dict[str, float]


def noise_floor(actual: Array, rate: Array, views: Array, seed: int) -> Noise:
    """The floors on these forms, and how far the predictions `rate` have come towards them.

    All (n,), n >= 1; actual: completion rates; rate: predictions in [0, 1]; views: >= 1.
    RMSE and R2 come from `label_variance`, which needs no model. MAE and deviance are no squares, so true chances are
    drawn: from the beta that `rate` and the overdispersion give, updated by the form's own submissions. With many
    views, that is the form's own rate, whatever the model says.
    """
    views = np.asarray(views, dtype=np.float64)
    floors = _squared(actual, views, label_variance(actual, rate, views))
    floors |= _simulated(actual, rate, views, np.random.default_rng(seed))
    return Noise(**floors, explained=_explained(actual, rate, views, floors))


def label_variance(actual: Array, rate: Array, views: Array) -> Array:
    """(n,) estimates of p (1 - p) / v, each unbiased and each rough: only their means are of use.

    From two views on y (1 - y) / (v - 1), as E[y (1 - y)] = p (1 - p) (v - 1) / v. A rate of one view is 0 or 1 and
    says nothing: there, the mean p (1 - p) of the other forms, or rate (1 - rate) where all forms have one view.
    """
    many = views >= 2
    unit = actual[many] * (1 - actual[many]) * views[many] / (views[many] - 1)
    single = unit.mean() if many.any() else rate * (1 - rate)
    variance = np.ones(len(views)) * single
    variance[many] = unit / views[many]
    return variance


def binomial_mad(chance: Array, views: Array) -> Array:
    """(n,) E|K / v - m / v| for K ~ Binomial(v, p) and m its median; exact.

    E|K - m| = m (2 P(K <= m) - 1) + v p (1 - 2 P(K' <= m - 1)) with K' ~ Binomial(v - 1, p), as k C(v, k) is
    v C(v - 1, k - 1). A median is v p rounded down or up (Kaas & Buhrman 1980), and there E|K - m| is least: it is
    the lesser of the two.
    """
    mean = views * chance
    return np.asarray(np.minimum(_mad(np.floor(mean), chance, views), _mad(np.ceil(mean), chance, views)) / views)


def _mad(m: Array, chance: Array, views: Array) -> Array:
    upper, lower = _binomial_cdf(m, views, chance), _binomial_cdf(m - 1, views - 1, chance)
    return np.asarray(m * (2 * upper - 1) + views * chance * (1 - 2 * lower))


def _binomial_cdf(k: Array, views: Array, chance: Array) -> Array:
    """P(K <= k), as scipy.stats.binom.cdf, without its checks, which take ten times as long."""
    inside = (k >= 0) & (k < views)
    found = betainc(np.where(inside, views - k, 1.0), np.where(inside, k + 1, 1.0), 1 - chance)
    return np.where(inside, found, np.where(k < 0, 0.0, 1.0))


def _squared(actual: Array, views: Array, variance: Array) -> dict[str, float]:
    floors = {}
    for prefix, weights in (("", np.ones(len(views))), ("weighted_", views)):
        share = weights / weights.sum()
        noise, spread = float(share @ variance), float(share @ (actual - share @ actual) ** 2)
        floors[f"{prefix}rmse"] = float(np.sqrt(noise))
        floors[f"{prefix}r2"] = max(1 - noise / spread, 0.0) if spread > 0 else 0.0
    return floors


def _simulated(actual: Array, rate: Array, views: Array, random: np.random.Generator) -> dict[str, float]:
    repeats = -(-_DRAWS // len(views))
    actual, rate, views = (np.tile(column, repeats) for column in (actual, rate, views))
    rho = min(overdispersion(rate, actual, views), _MOST_RHO)
    chance = np.clip(rate, 1e-3, 1 - 1e-3)
    if rho > 0:
        weight = 1 / rho - 1
        chance = random.beta(chance * weight + actual * views, (1 - chance) * weight + (1 - actual) * views)
    drawn = np.minimum(np.rint(views), _MOST_VIEWS)
    mad = binomial_mad(chance, drawn) * np.sqrt(drawn / views)
    again = random.binomial(drawn.astype(np.int64), chance) / drawn
    return {
        "mae": float(mad.mean()),
        "weighted_mae": float(views @ mad / views.sum()),
        "deviance": float(losses("deviance", again, chance, views).mean()),
    }


def _explained(actual: Array, rate: Array, views: Array, floors: dict[str, float]) -> dict[str, float]:
    found = evaluate(actual, rate, views)
    mean = float(views @ actual / views.sum())
    constants = {"mae": float(np.median(actual)), "weighted_mae": _weighted_median(actual, views), "deviance": mean}
    shares = {}
    for metric, constant in constants.items():
        most = evaluate(actual, np.full(len(actual), constant), views)[metric]
        if most > floors[metric]:
            shares[metric] = (most - found[metric]) / (most - floors[metric])
    return shares | {metric: found[metric] / floors[metric] for metric in ("r2", "weighted_r2") if floors[metric] > 0}


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
