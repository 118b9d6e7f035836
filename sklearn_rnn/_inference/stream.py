"""Prediction streams: sequences that go on, a step or a chunk of steps at a time, from where they stand."""

from __future__ import annotations

import copy
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array

from sklearn_rnn._data.sequences import FLOATS, Sequences, _form_of, naming
from sklearn_rnn._inference.prediction import RunningState, predict_scores
from sklearn_rnn._training.carried_state import check_rows

# What predictions do not read, of an estimator.
TRAINING_STATE = ("_optimizer", "_schedule", "_history", "_random_state", "_truncation", "_carried_state")


def _has_probabilities(stream):
    """Whether the estimator has ``predict_proba``; for ``available_if``."""
    return bool(stream._estimator.predict_proba)


class PredictionStream:
    """Predicts sequences step by step, each step at the same cost, however long the sequences have become.

    Made by ``estimator.stream(n_sequences)``; every sequence begins from nothing. Whether steps come one at
    a time, in chunks of any lengths, or all at once in the estimator's ``predict``, predictions are the same.

    The stream has its own copy of the fitted estimator: what becomes of the estimator does not change the
    stream, nor the stream the estimator. Streams of one estimator may be used side by side in different threads,
    each by one thread at a time. Pickles and deep copies go on from where the stream stands.

    After an error a stream stands where it stood before.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, and not bidirectional.
    n_sequences : int
        Sequences that go on side by side.

    Notes
    -----
    With ``patch_size=p`` the network reads p steps of data at a time, and so does the stream: its steps are
    network steps. ``predict`` of the estimator puts zeros in front of a sequence that is no multiple of
    p long; so can you, in front of a stream's first patch.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
    >>> reg = RNNRegressor(8, max_iter=2, n_iter_no_change=np.inf, random_state=0).fit(X, [0, 1, 0, 1])
    >>> stream = reg.stream()
    >>> for x in X[0]:
    ...     prediction = stream.step(x)
    >>> np.allclose(prediction, reg.predict(X[:1]))
    True
    """

    def __init__(self, estimator, n_sequences=1):
        if estimator._architecture["bidirectional"]:
            raise ValueError(
                "bidirectional=True does not go with streams: the reverse pass begins at the end of the whole "
                "sequence, which a stream has not seen. Fit with bidirectional=False."
            )
        if isinstance(n_sequences, bool) or not isinstance(n_sequences, Integral):
            raise TypeError(f"n_sequences must be an integer of at least 1, got {n_sequences!r}.")
        if n_sequences < 1:
            raise ValueError(f"n_sequences must be at least 1, got {n_sequences}.")
        self._begin(_copy_for_predictions(estimator), int(n_sequences))

    def _begin(self, estimator, n_sequences):
        self._estimator = estimator
        network = estimator._network
        self._weights = network.prepare(for_backward=False)
        self._running = RunningState(network, n_sequences)
        running = self._running
        self._stepper = network.stepper(self._weights, running.state, running.pooled, running.n_steps)

    # The panels of weights are packed again, for whichever kernels serve where a pickle is loaded.
    def __getstate__(self):
        return {"estimator": self._estimator, "state": self.state}

    def __setstate__(self, state):
        self._begin(state["estimator"], len(state["state"]["n_steps"]))
        self._running.assign(state["state"])

    @property
    def n_sequences(self):
        """Sequences that go on side by side."""
        return len(self._running.n_steps)

    # ---- Predictions ---------------------------------------------------------------------------------

    def step(self, x):
        """Take the next network step of every sequence, and predict.

        Parameters
        ----------
        x : array-like of shape (n_sequences, step_features)
            The next step of each sequence; of shape (n_sequences, patch_size, step_features) or
            (n_sequences, patch_size * step_features) where the network reads patches. For a single sequence the
            first axis may be left out. Fastest as a C-contiguous array of the dtype that the estimator was fitted in.

        Returns
        -------
        ndarray of shape (n_sequences,) or (n_sequences, n_outputs)
            What ``predict`` of the estimator gives for sequences that end here.

        Raises
        ------
        ValueError, TypeError
            For bad input; the stream stands where it stood.
        """
        stepper = self._stepper
        if stepper is None:
            x = self._check_step(x)
            scores = self._scores(Sequences(x, np.ones(len(x), np.int64), "array"))
        else:
            scores = stepper.step(x if stepper.is_ready(x) else self._check_step(x))
        return self._estimator._predictions_of(scores)

    def predict(self, X):
        """Take the next several steps of every sequence, and predict.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, step_features), or list of arrays of shape \
                (n_steps_i, step_features) or (n_steps_i,)
            At least one step of each sequence, ``patch_size`` steps of data for each network step. Where the
            estimator was fitted on 2-D X, also of shape (n_sequences, n_steps * step_features).

        Returns
        -------
        ndarray or list of ndarray
            As ``predict`` of the estimator gives: for readout "each" of each of these steps, in the form of X;
            else after the last of them.

        Raises
        ------
        ValueError, TypeError
            For bad input; the stream stands where it stood.
        """
        return self._predict(X, self._estimator._predictions_of)

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Take the next several steps of every sequence, and predict probabilities.

        Parameters
        ----------
        X : array-like or list
            As for ``predict``.

        Returns
        -------
        ndarray or list of ndarray
            As ``predict_proba`` of the estimator gives: for readout "each" of each of these steps, in the form of
            X; else after the last of them.

        Raises
        ------
        ValueError, TypeError
            For bad input; the stream stands where it stood.
        """
        return self._predict(X, self._estimator._probabilities_of)

    def _predict(self, X, predictions_of):
        sequences = self._check_chunk(X)
        return self._estimator._in_form_of(sequences, predictions_of(self._scores(sequences)))

    def _scores(self, sequences):
        """Raw scores; the stream moves on when they are all there: an interrupt leaves it where it stood."""
        network = self._estimator._network
        running = RunningState(network, self.n_sequences)
        running.assign(self._running.arrays)
        scores = predict_scores(network, sequences, self._estimator.n_jobs, self._weights, running)
        self._running.assign(running.arrays)
        return scores

    # ---- Where the sequences stand -------------------------------------------------------------------

    @property
    def state(self):
        """Where the sequences stand, as copies of named arrays whose first axis is n_sequences.

        "layer_0.h" (n_sequences, n_units), for LSTM "layer_0.c" too, "layer_1.h", …; for readout "mean" or "max" what
        is pooled so far, "readout.sum" or "readout.maximum" (-inf before the first step); "n_steps" (n_sequences,),
        the network steps so far. Assign such a dict to go on from there.
        """
        return self._running.copied_arrays()

    @state.setter
    def state(self, state):
        self._running.assign(_check_state(state, self._running.arrays))

    def reset(self, rows=None):
        """Let sequences begin anew.

        Parameters
        ----------
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            Which sequences: indices (negative ones count from the end) or a mask. None: all.

        Raises
        ------
        ValueError, TypeError
            For indices out of range or anything else; nothing is changed.
        """
        rows = slice(None) if rows is None else check_rows(rows, self.n_sequences)
        beginning = RunningState(self._estimator._network, 1)
        for name, array in self._running.arrays.items():
            array[rows] = beginning.arrays[name]

    # ---- Checks --------------------------------------------------------------------------------------

    def _check_step(self, x):
        """Return one step's input, (n_sequences, n_inputs), in the network's dtype; refuse anything else."""
        n, patch_size = self.n_sequences, self._estimator._architecture["patch_size"]
        n_features, dtype = self._estimator.n_features_in_, self._estimator._dtype
        if sp.issparse(x):
            raise TypeError("x is sparse, but dense data is required. Use '.toarray()'.")
        with naming("x"):
            x = np.asarray(x)
        if x.dtype.kind not in "biufO":
            raise ValueError(f"x has dtype {x.dtype}: a step is an array of real numbers.")
        shapes = _shapes_of_step(n, patch_size, n_features)
        if x.shape not in shapes:
            raise ValueError(
                f"x has shape {x.shape}, but a step of {n} sequence{'s' * (n > 1)} has shape "
                f"{' or '.join(map(str, shapes))}."
            )
        with naming("x"), np.errstate(over="ignore"):
            x = np.ascontiguousarray(x.reshape(n, -1), dtype)
        if not np.isfinite(x).all():
            row, feature = np.argwhere(~np.isfinite(x))[0]
            what = "NaN" if np.isnan(x[row, feature]) else f"infinity (or a number too large for {dtype})"
            raise ValueError(
                f"x contains {what} in sequence {row}, feature {feature}: {type(self._estimator).__name__} does not "
                "accept it. Impute it, or leave the step out."
            )
        return x

    def _check_chunk(self, X):
        """Return the steps of a chunk as the network takes them, in patches."""
        estimator = self._estimator
        if estimator._takes_rows and _form_of(X, fitted_on_rows=True) == "rows":
            X = self._rows_as_steps(X)
        sequences = estimator._check_new_steps(X)
        if len(sequences) != self.n_sequences:
            raise ValueError(
                f"X has {len(sequences)} sequences, but the stream has {self.n_sequences}: pass the next steps of each."
            )
        patch_size = estimator._architecture["patch_size"]
        incomplete = np.flatnonzero(sequences.lengths % patch_size)
        if len(incomplete):
            raise ValueError(
                f"X[{incomplete[0]}] has {sequences.lengths[incomplete[0]]} steps, but the network reads patch_size="
                f"{patch_size} steps at a time: pass a multiple of {patch_size} steps, and keep the others for later."
            )
        return sequences.patched(patch_size)

    def _rows_as_steps(self, X):
        """2-D X, (n_sequences, n_steps * step_features), as (n_sequences, n_steps, step_features)."""
        n_features = self._estimator.n_features_in_
        with naming("X"):
            X = check_array(X, dtype=FLOATS, order="C", ensure_all_finite=False, estimator=self._estimator)
        if X.shape[1] % n_features:
            raise ValueError(
                f"X has {X.shape[1]} columns, which are no whole steps: pass a multiple of step_features={n_features}."
            )
        return X.reshape(len(X), -1, n_features)


def _copy_for_predictions(estimator):
    """Deep copy of a fitted estimator that takes sequences of any number of steps, even if fitted on 2-D X."""
    attributes = {name: value for name, value in vars(estimator).items() if name not in TRAINING_STATE}
    snapshot = object.__new__(type(estimator))
    vars(snapshot).update(copy.deepcopy(attributes))
    snapshot._takes_rows = estimator._fitted_on_rows
    if snapshot._takes_rows:
        snapshot._fitted_on_rows = False
        snapshot.n_features_in_ = estimator._architecture["step_features"]
        vars(snapshot).pop("feature_names_in_", None)
    return snapshot


def _shapes_of_step(n_sequences, patch_size, n_features):
    """Return the shapes that one network step of data may have."""
    flat, in_patches = (n_sequences, patch_size * n_features), (n_sequences, patch_size, n_features)
    shapes = [flat] if patch_size == 1 else [flat, in_patches]
    return shapes if n_sequences > 1 else [*shapes, *(shape[1:] for shape in shapes)]


def _check_state(state, present):
    """Return the arrays of a new state, each checked against the present one of its name."""
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict of arrays, as the stream's own is, got {type(state).__name__}.")
    if state.keys() != present.keys():
        raise ValueError(f"state has arrays called {list(state)}, but this stream's are called {list(present)}.")
    arrays = {name: _check_state_array(f"state[{name!r}]", state[name], array) for name, array in present.items()}
    has_begun = arrays["n_steps"] > 0
    if "readout.maximum" in arrays and not np.isneginf(arrays["readout.maximum"][~has_begun]).all():
        raise ValueError("state['readout.maximum'] must be -inf for sequences of 0 steps.")
    for name, array in arrays.items():
        if not np.isfinite(array[has_begun] if name == "readout.maximum" else array).all():
            raise ValueError(f"state[{name!r}] contains NaN, or infinity, or a number too large for {array.dtype}.")
    return arrays


def _check_state_array(name, value, present):
    """Return one array of a new state, in the dtype of the present one."""
    kinds, meaning = ("iu", "integers") if present.dtype.kind == "i" else ("biuf", "real numbers")
    with naming(name):
        array = np.asarray(value)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {array.dtype}, but it must be an array of {meaning}.")
    if array.shape != present.shape:
        raise ValueError(f"{name} has shape {array.shape}, but this stream's has shape {present.shape}.")
    with np.errstate(over="ignore"):
        array = array.astype(present.dtype)
    if kinds == "iu" and (array < 0).any():
        raise ValueError(f"{name} contains {array.min()}, but numbers of steps are not negative.")
    return array
