"""Clipping: values first, then the norm of the values that are left."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_rnn._training.trainer import Trainer

GRADIENT = np.array([3.0, -4.0, 0.5, 0.5])
CLIPPED = np.array([1.0, -1.0, 0.5, 0.5])
CASES = {
    "values, then their norm": (1.0, 1.0, CLIPPED / np.sqrt(2.5), True),
    "values alone": (1.0, 2.0, CLIPPED, True),
    "norm alone": (9.0, 1.0, GRADIENT / np.sqrt(25.5), True),
    "neither": (9.0, 9.0, GRADIENT, False),
    "no limits": (None, None, GRADIENT, False),
}


@pytest.mark.parametrize(("clip_value", "clip_norm", "expected", "is_clipped"), CASES.values(), ids=CASES)
def test_the_norm_is_that_of_the_clipped_values(clip_value, clip_norm, expected, is_clipped):
    gradient = GRADIENT.copy()
    trainer = SimpleNamespace(settings=SimpleNamespace(clip_value=clip_value, clip_norm=clip_norm))
    norm, was_clipped = Trainer._clip(trainer, gradient)
    assert_allclose(gradient, expected, rtol=1e-12)
    assert_allclose(norm, np.sqrt(25.5), rtol=1e-12)  # before clipping
    assert was_clipped == is_clipped
