"""The dense network's inputs. The network itself needs PyTorch: tests/integration/test_families.py."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.model.families.dnn import scaling


def logs(values):
    return np.log1p(np.float32(values).astype(np.float64))[:, None]


@pytest.mark.parametrize("n", [777, 1_001])
@pytest.mark.parametrize("constant", [0.0, 0.1, 3.0, 1.7e9])
def test_scaling_takes_a_constant_for_one_whatever_its_mean_rounds_to(n, constant):
    mean, scale = scaling(logs(np.full(n, constant)))
    assert mean == pytest.approx(np.log1p(constant)) and scale == 1


def test_scaling_takes_what_float32_has_made_of_large_values_for_a_constant():
    """Steps of float32 at 1.7e9 are 128: of seconds within an hour, it leaves only how they were rounded."""
    assert scaling(logs(1.7e9 + np.arange(60)))[1] == 1


@pytest.mark.parametrize("values", [np.arange(1_000), 1e-9 + 1e-11 * np.arange(100), 1.7e9 + 3e4 * np.arange(1_000)])
def test_scaling_keeps_deviations_that_are_real(values):
    X = logs(values)
    assert scaling(X)[1] == X.std() > 0
