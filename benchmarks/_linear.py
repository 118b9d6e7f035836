"""Linear classifiers on features of whole sequences: of RecurrentFeatures, and of aeon's MiniRocket where installed."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

try:
    from aeon.transformations.collection.convolution_based import MiniRocket
except ImportError:
    MiniRocket = None

ALPHAS = np.logspace(-2, 5, 15)


def make_ridge():
    """Return a ridge classifier that standardises its features."""
    return make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))


def make_minirocket(seed):
    """Return MiniRocket as a transformer of sequences, arrays (n_steps, n_features) of the same length."""
    return make_pipeline(FunctionTransformer(_as_aeon_reads), MiniRocket(random_state=seed, n_jobs=1))


def compile_minirocket():
    """Let MiniRocket compile what it compiles at first use, for series with one feature and with several."""
    for n_features in (1, 2):
        make_minirocket(0).fit_transform(list(np.random.default_rng(0).normal(size=(4, 20, n_features))))


def to_equal_lengths(*splits):
    """Return lists of sequences with zeros at the ends of all but the longest, as MiniRocket needs them."""
    n_steps = max(len(x) for X in splits for x in X)
    return [[np.pad(x, ((0, n_steps - len(x)), (0, 0))) for x in X] for X in splits]


def _as_aeon_reads(X):
    """Return sequences of equal lengths as (n_sequences, n_features, n_steps)."""
    return np.ascontiguousarray(np.stack(X).swapaxes(1, 2), np.float32)
