"""Parameters for programs: values that are right, at least in some combinations, and values that are wrong."""

from __future__ import annotations

import numpy as np

SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}

VALUES = {
    "hidden_layer_sizes": [(1,), 2, (2, 3), [3], np.array([2])],
    "cell": ["rnn", "lstm", "gru"],
    "activation": ["tanh", "relu", "logistic", "identity"],
    "bidirectional": [True, False, "auto"],
    "readout": ["last", "mean", "max", "each", "each", ("last", "max"), ["mean"]],
    "normalize_readout": [True, False],
    "dropout": [0.0, 0.5],
    "step_features": [1, 2],
    "categorical_features": ["from_dtype", [-1], [0], None, [True]],
    "categories": ["auto", [[0, 1, 2, 3, 4]]],
    "embedding_size": ["auto", 1, 2],
    "patch_size": [1, 2, 3, "auto"],
    "patch_stride": [None, 1, 2],
    "stateful": [True, False],
    "normalize_features": [True, False],
    "truncation": [None, 1, 2, 4, "auto", "unbiased"],
    "truncation_stride": [None, 1, 2],
    "truncation_tolerance": [0.1, 0.9],
    "memory_budget": [None, "1MB", 10**6],
    "solver": ["adam", "sgd", "rmsprop", "lbfgs"],
    "alpha": [0.0, 0.1, 1e3],
    "batch_size": ["auto", 1, 2, 1000],
    "shuffle": [True, False],
    "learning_rate": ["constant", "invscaling", "adaptive", "cosine"],
    "learning_rate_init": [0.01, 1.0, 1e6, 1e-300],
    "power_t": [0.0, 0.5, 1e308],
    "clip_norm": ["auto", None, 1e-3, 1.0],
    "clip_value": [None, 1e-3, 1.0],
    "clip_update": [None, 1.0],
    "momentum": [0.0, 1.0],
    "nesterovs_momentum": [True, False],
    "beta_1": [0.0, 0.9],
    "beta_2": [0.0, 0.999],
    "epsilon": [1e-8, 1.0],
    "max_iter": [1, 2, 3],
    "max_fun": [1, 10],
    "tol": [0.0, 1e-4, 10.0],
    "n_iter_no_change": [1, np.inf],
    "early_stopping": [True, False],
    "validation_fraction": [0.1, 0.5, 0.99],
    "random_state": [0, 1],
    "n_jobs": [None, 1, 2, -1],
    "warm_start": [True, False],
    "class_weight": [None, "balanced", {0: 2.0}],
    "loss": ["squared_error", "absolute_error", "huber", "poisson"],
    "normalize_y": [True, False],
}
ODD = [
    None,
    -1,
    0,
    2.5,
    "none of these",
    np.nan,
    np.inf,
    [],
    10**30,
    10**400,
    True,
    1e308,
    np.array(1),
    object(),
    {},
    "3XB",
]


def pairs_of(estimator_class):
    """Return pairs (name, value) that are right, and pairs that may be wrong."""
    names = estimator_class().get_params()
    right = [(name, value) for name, values in VALUES.items() if name in names for value in values]
    odd = [(name, value) for name in names for value in ODD if is_harmless(name, value)]
    return right, odd


def is_harmless(name, value):
    """No programs that run for hours, fill the memory, print, or end otherwise at each run."""
    endless = name in ("max_iter", "max_fun", "hidden_layer_sizes", "embedding_size", "n_jobs", "step_features")
    return (
        not (endless and isinstance(value, int) and value > 100)
        and name != "verbose"
        and not (name == "random_state" and value is None)
    )
