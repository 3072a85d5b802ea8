"""How the features move the completion rate: the part of a form's rate that a model can learn.

Chosen, not published. The correlations of single features with the rate are close to the published ones. The rest is
what a straight line cannot follow (thresholds, pairs, a hump, saturation), sized so that good trees explain about
11 % of the variance and a line about 4 %. That is somewhat more to gain than on the real forms.
"""

import numpy as np

_CAP = 2.0  # a response saturates at log1p(x) = 2, about six fields of a kind
_STEPS = np.minimum(np.log1p(np.arange(8)), _CAP).round(9)

# feature (1-based): weight of min(log1p(x), 2)
_SATURATING = {
    2: -0.10, 3: -0.08, 4: -0.68, 5: 0.03, 6: 0.08, 7: 0.06, 8: -0.42, 9: -0.27, 10: -0.22, 11: 0.05, 12: -0.48,
    13: -0.03, 14: 0.11, 15: -0.74, 17: -0.14, 18: -0.09, 19: 0.06, 20: -0.83, 21: -0.05, 22: -0.09, 23: -0.06,
    24: -0.05, 25: 0.07, 26: -0.35, 27: 0.10, 28: -0.10, 29: -0.08, 30: 0.03, 31: -0.06, 32: -0.03, 33: 0.12,
    34: 0.08, 35: -0.22, 37: 0.13, 39: -0.04, 43: -0.03, 44: -0.22, 45: 0.09, 46: 0.17,
}  # fmt: skip
_MEAN = 0.160  # of the sum, so that the signal has mean 0 (measured on 500,000 forms)
SIGNAL_VARIANCE = 0.144  # of the signal, measured likewise; the noise fills it up to 1


def signal(vectors: np.ndarray) -> np.ndarray:
    """The learnable part of the latent rate, shape (n,), mean about 0, variance about SIGNAL_VARIANCE.

    vectors: (n, 47) counts.
    """
    total = _thresholds_and_pairs(vectors) - _MEAN
    for feature, weight in _SATURATING.items():
        total += weight * _STEPS[np.minimum(vectors[:, feature - 1], len(_STEPS) - 1)]
    return total


def _thresholds_and_pairs(vectors: np.ndarray) -> np.ndarray:
    def has(feature: int) -> np.ndarray:
        return vectors[:, feature - 1] > 0

    length = vectors[:, 20]
    return (
        0.32 * (has(9) ^ has(43))
        + 0.27 * (has(47) ^ has(22))
        - 0.27 * (has(25) & has(7))
        + 0.27 * ((length >= 2) & (length <= 4))
        - 0.20 * (vectors[:, 8] == 1)
        + 0.22 * has(47)
        - 0.22 * has(46)
        + 0.15 * has(45)
    )
