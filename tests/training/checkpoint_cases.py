"""Fits for the tests of checkpoints, and all figures of a fitted estimator as bytes."""

import struct
import warnings

import numpy as np
from sklearn.metrics import make_scorer, mean_absolute_error

from sklearn_rnn import RNNClassifier, RNNRegressor

GENERATOR = np.random.default_rng(0)
X = [GENERATOR.normal(size=(n, 2)) for n in GENERATOR.integers(2, 9, 24)]
VALUES = np.array([x[:, 0].mean() for x in X])
LABELS = np.array(["down", "up"])[(VALUES > 0).astype(int)]
WEIGHTS = GENERATOR.uniform(0.5, 2, 24)
X_EACH = GENERATOR.normal(size=(12, 30, 2))
Y_EACH = np.cumsum(X_EACH[:, :, 0], axis=1)
VALIDATION = {"X_val": X[:9], "y_val": VALUES[:9]}

SMALL = {"hidden_layer_sizes": 3, "max_iter": 4, "batch_size": 8, "random_state": 0}


def regressor(**settings):
    return RNNRegressor(**SMALL | settings)


def classifier(**settings):
    return RNNClassifier(**SMALL | settings)


def each(**settings):
    """A regressor at every step, and its data."""
    return regressor(readout="each", batch_size=4, **settings), (X_EACH, Y_EACH), {}


def in_float32():
    return [x.astype(np.float32) for x in X]


# Name: estimator, X and y, and further arguments of fit.
CASES = {
    "Adam": lambda: (classifier(), (X, LABELS), {}),
    "SGD, float32, NumPy's rate, cosine": lambda: (
        classifier(solver="sgd", learning_rate_init=np.float64(0.1), learning_rate="cosine"),
        (in_float32(), LABELS),
        {},
    ),
    "RMSprop, invscaling": lambda: (regressor(solver="rmsprop", learning_rate="invscaling"), (X, VALUES), {}),
    "L-BFGS": lambda: (regressor(solver="lbfgs", max_iter=6), (X, VALUES), {}),
    "L-BFGS, float32, early stopping": lambda: (
        classifier(solver="lbfgs", max_iter=9, early_stopping=True, n_iter_no_change=2, validation_fraction=0.3),
        (in_float32(), LABELS),
        {},
    ),
    "early stopping": lambda: (
        regressor(early_stopping=True, n_iter_no_change=2, tol=0.05, max_iter=12, learning_rate_init=0.05),
        (X, VALUES),
        {},
    ),
    "adaptive": lambda: (
        regressor(learning_rate="adaptive", solver="sgd", tol=0.1, n_iter_no_change=1, max_iter=7),
        (X, VALUES),
        {},
    ),
    "dropout, two layers, LSTM, weights": lambda: (
        classifier(cell="lstm", hidden_layer_sizes=(3, 2), dropout=0.3),
        (X, LABELS),
        {"sample_weight": WEIGHTS},
    ),
    "validation data, scoring": lambda: (
        regressor(early_stopping=True, scoring=make_scorer(mean_absolute_error, greater_is_better=False)),
        (X, VALUES),
        VALIDATION,
    ),
    "truncation": lambda: each(truncation=7, truncation_stride=3),
    "truncation auto": lambda: each(truncation="auto", max_iter=12),
    "truncation unbiased": lambda: each(truncation="unbiased", truncation_stride=5),
    "patches, n_jobs=2": lambda: (classifier(patch_size=2, n_jobs=2), (X, LABELS), {}),
    "one batch": lambda: (regressor(batch_size=100, max_iter=5), (X, VALUES), {}),
    "no shuffling": lambda: (regressor(shuffle=False), (X, VALUES), {}),
}

ATTRIBUTES = (
    "loss_",
    "best_loss_",
    "best_validation_score_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
    "gradient_norms_",
    "clipped_fraction_",
    "n_iter_",
    "t_",
    "truncation_",
)


def fit(estimator, arguments, options, **checkpoint):
    """Fit, without the warnings that training is short."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "max_iter")
        return estimator.fit(*arguments, **options, **checkpoint)


def figures(estimator):
    """Weights, the state of training and figures of an estimator, as bytes by name."""
    result = {name: as_bytes(getattr(estimator, name)) for name in ATTRIBUTES}
    result |= {name: weights.tobytes() for name, weights in estimator.weights_.items()}
    state = estimator.__getstate__()["_session"]
    return result | {f"session.{name}": as_bytes(value) for name, value in state.items()}


def as_bytes(value):
    """The bytes of nested values; a number of NumPy has those of the same number of Python."""
    if isinstance(value, dict):
        return b"".join(str(key).encode() + as_bytes(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return b"".join(map(as_bytes, value))
    if isinstance(value, np.ndarray):
        return value.dtype.str.encode() + value.tobytes()
    return struct.pack("<d", value) if isinstance(value, (float, np.floating)) else repr(value).encode()
