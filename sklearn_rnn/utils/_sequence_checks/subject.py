"""Subject: an estimator under test, the layout of its X, and what it can do."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from sklearn_rnn.utils._sequence_checks import data
from sklearn_rnn.utils._sequence_checks.capabilities import capabilities_of, has_targets_per_step, kind_of
from sklearn_rnn.utils._sequence_checks.comparisons import outputs

LAYOUTS = ("case_time_channel", "case_channel_time")


class Subject:
    """An estimator under test.

    The checks have sequences as lists of arrays (n_steps, n_features). The methods here bring them into the layout of
    the estimator; those with ``as_is`` in their name do not.
    """

    def __init__(self, estimator, layout="case_time_channel", capabilities=None):
        if isinstance(estimator, type):
            raise TypeError(f"estimator is the class {estimator.__name__}: pass an instance.")
        if not callable(layout) and layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}: expected a function or one of {LAYOUTS}.")
        self.estimator = estimator
        self.layout = layout
        self.capabilities = capabilities_of(estimator, capabilities)
        if callable(layout):
            self.capabilities -= {"containers"}

    def can(self, capability):
        return capability in self.capabilities

    # ---- Data ----------------------------------------------------------------------------------------

    @property
    def n_features(self):
        return 2 if self.can("multivariate") else 1

    @property
    def dtypes(self):
        return (np.float64, np.float32) if self.can("dtypes") else (np.float64,)

    @property
    def lengths(self):
        """Different lengths, for estimators that read them."""
        return self.lengthened(data.LENGTHS if self.can("ragged") else data.EQUAL_LENGTHS)

    @property
    def equal_lengths(self):
        return self.lengthened(data.EQUAL_LENGTHS)

    def lengthened(self, lengths):
        """The same lengths, or longer ones for estimators that do not read short sequences."""
        return lengths if self.can("short") else tuple(length + data.LONGER for length in lengths)

    def sequences(self, lengths, *, seed=0, dtype=np.float64):
        """Return sequences. If the last feature is a category, it has about ten values, some in one sequence alone."""
        X = data.random_sequences(lengths, self.n_features, seed=seed, dtype=dtype)
        if isinstance(getattr(self.estimator, "categorical_features", None), list):
            for x in X:
                x[:, -1] = np.rint(2 * x[:, -1])
        return X

    def make_data(self, lengths=None, dtype=np.float64, seed=0):
        """Return sequences, and targets for the estimator (None for transformers)."""
        lengths = self.lengths if lengths is None else lengths
        X = self.sequences(lengths, seed=seed, dtype=dtype)
        per_step = has_targets_per_step(self.estimator)
        n_targets = sum(lengths) if per_step else len(lengths)
        kind = kind_of(self.estimator)
        if kind == "transformer":
            return X, None
        if kind == "classifier":
            y = data.random_labels(n_targets, seed + 1)
        else:
            y = np.random.default_rng(seed + 1).normal(size=n_targets)
        return X, np.split(y, np.cumsum(lengths)[:-1]) if per_step else y

    def in_layout(self, X):
        """Return sequences in the layout of the estimator."""
        if callable(self.layout):
            return self.layout(X)
        if isinstance(X, list) and not self.can("containers") and len({len(x) for x in X}) == 1:
            X = np.stack(X)
        if self.layout == "case_time_channel":
            return X
        if isinstance(X, np.ndarray) and X.dtype != object:
            return np.ascontiguousarray(X.swapaxes(1, 2))
        transposed = [np.ascontiguousarray(np.transpose(x)) for x in X]
        return data.object_array(transposed) if isinstance(X, np.ndarray) else type(X)(transposed)

    # ---- Calls ---------------------------------------------------------------------------------------

    def unfitted(self, **params):
        """Return a clone, whose results are repeatable."""
        estimator = clone(self.estimator)
        seeds = {
            name: 0 for name, value in estimator.get_params().items() if name.endswith("random_state") and value is None
        }
        return estimator.set_params(**seeds | params) if seeds or params else estimator

    def fit(self, estimator, X, y, **fit_params):
        """Fit an estimator; y is None for transformers."""
        arguments = (self.in_layout(X),) if y is None else (self.in_layout(X), y)
        return estimator.fit(*arguments, **fit_params)

    def fitted(self, X, y, **fit_params):
        return self.fit(self.unfitted(), X, y, **fit_params)

    def outputs(self, estimator, X):
        return outputs(estimator, self.in_layout(X))

    def fitted_as_is(self, X, y):
        return self.unfitted().fit(X, y)

    def outputs_as_is(self, estimator, X):
        return outputs(estimator, X)

    def continue_training(self, estimator, X, y):
        """Call ``partial_fit``, for the first time or again."""
        X = self.in_layout(X)
        if kind_of(self.estimator) != "classifier":
            return estimator.partial_fit(X, y)
        labels = np.unique(np.concatenate(y) if isinstance(y, list) else y)
        return estimator.partial_fit(X, y, classes=labels)

    def is_per_step(self, method):
        """Whether a method returns values for every step."""
        return method == "hidden_states" or self.can("steps")
