"""Prediction streams: sequences that continue, by one step or a chunk of steps at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.packing import packing_of_equal_lengths
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._data.rows import check_rows
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._inference.front import front_of
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._inference.running_state import Continuation, RunningState, checked_arrays
from sklearn_rnn._inference.scalers import flat_steps
from sklearn_rnn._model import Model
from sklearn_rnn._network import kernels
from sklearn_rnn._network.blocks import steps_of_call
from sklearn_rnn._network.int8_weights import PRECISIONS
from sklearn_rnn._network.links import IDENTITY
from sklearn_rnn._utils.plain import from_plain, to_plain
from sklearn_rnn._utils.state import stamped, without_stamp

Transformers = Sequence[tuple[str, Any]]


def _has_probabilities(stream: PredictionStream) -> bool:
    """Whether the model predicts classes; for ``available_if``."""
    if not isinstance(stream._model.coding, ClassCoding):
        raise AttributeError("predict_proba: a regressor's stream predicts no probabilities.")
    return True


def _fast_decoder(model: Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function with the results of ``model.decode``, without a warning: a step takes half a microsecond."""
    coding, is_compiled = model.coding, kernels.name != "numpy"
    if is_compiled and isinstance(coding, ClassCoding) and not coding.is_multilabel:
        classes, codes_of = coding.classes, kernels.codes_of_scores()
        return lambda scores: classes[codes_of(scores)]
    if is_compiled and isinstance(coding, ValueCoding) and coding.is_normalized and model.link is IDENTITY:
        return kernels.values_of_scores(*coding.units_of(model.schema.dtype), coding.is_flat)
    return partial(coding.decode, activate=model.link.predict)


def _check_precision(precision: Any) -> None:
    """Refuse all but None and the names of precisions."""
    is_text = isinstance(precision, str)
    if precision is None or (is_text and precision in PRECISIONS):
        return
    raise (ValueError if is_text else TypeError)(
        f'precision must be None, for the dtype of the estimator, or "int8", got {precision!r}.'
    )


class PredictionStream:
    """Predicts sequences step by step. Every step has the same cost: earlier steps are not run again.

    ``estimator.stream(n_sequences)`` makes a stream, in which every sequence is before its first step. Predictions are
    the same for steps one at a time, for chunks of any lengths, and for the whole sequences in the estimator's
    ``predict``. With ``precision="int8"`` they differ a little from those of ``predict``.

    The stream has its own copy of the fitted model: later changes of the estimator do not change the stream. Different
    threads may use different streams of one estimator at the same time, but not the same stream. Pickles and deep
    copies continue from the stream's current state.

    An error leaves the stream's state unchanged.

    Parameters
    ----------
    model : Model
        The fitted estimator's model, not bidirectional. The stream keeps this object: pass a copy.
    n_sequences : int
        Number of sequences, which continue side by side.
    n_jobs : int or None, default=None
        The estimator's ``n_jobs``: number of threads.
    transformers : list of (str, transformer), default=()
        The steps of a fitted pipeline before the network; see :meth:`from_pipeline`. The stream keeps these objects.
    precision : {"int8"} or None, default=None
        "int8": the recurrent weights, and the input weights of all layers after the first, are rounded to 8 bits, with
        a scale for each gate of each unit. In their products, the hidden states are rounded to 8 bits too, with a scale
        for each sequence and step. Sums of these products are exact. Everything else, the state too, has the dtype of
        the estimator. None: all of it; predictions are those of the estimator.

    Notes
    -----
    With patches the network reads several steps of data at a time, of which ``patch_stride_`` are new. A step of the
    stream is then one network step, with this number of new steps of data. The estimator's ``predict`` puts zeros in
    front of a sequence whose length is not a multiple of it. To get the same predictions from a stream, put the same
    zeros in front of its first steps.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
    >>> reg = RNNRegressor(8, bidirectional=False, max_iter=2, random_state=0).fit(
    ...     X, [0, 1, 0, 1]
    ... )
    >>> stream = reg.stream()
    >>> for x in X[0]:
    ...     prediction = stream.step(x)
    >>> np.allclose(prediction, reg.predict(X[:1]))
    True
    """

    def __init__(
        self,
        model: Model,
        n_sequences: Any = 1,
        n_jobs: int | None = None,
        transformers: Transformers = (),
        precision: Any = None,
    ) -> None:
        if model.network.is_bidirectional:
            raise ValueError(
                "bidirectional=True does not go with streams: the reverse pass begins at the end of the whole "
                "sequence, which a stream has not seen. Fit with bidirectional=False ('auto' means True here)."
            )
        if isinstance(n_sequences, bool) or not isinstance(n_sequences, Integral):
            raise TypeError(f"n_sequences must be an integer of at least 1, got {n_sequences!r}.")
        if n_sequences < 1:
            raise ValueError(f"n_sequences must be at least 1, got {n_sequences}.")
        _check_precision(precision)
        self._set_up(model, int(n_sequences), n_jobs, transformers, precision)

    @classmethod
    def from_pipeline(cls, pipeline: Any, n_sequences: Any = 1, precision: Any = None) -> PredictionStream:
        """Return a stream that also runs the transformers of a pipeline, step by step.

        Predictions are those of the pipeline's ``predict``, but for ``precision``.

        Parameters
        ----------
        pipeline : Pipeline
            Fitted. Its last step is an RNNClassifier or RNNRegressor. The steps before it, if there are any, are
            ``TimeDistributed`` of a transformer, or ``ForwardFill``, which fills the gaps of the next steps with the
            last values of the steps so far.
        n_sequences : int, default=1
            Number of sequences that continue side by side.
        precision : {"int8"} or None, default=None
            As for the estimator's ``stream``.

        Returns
        -------
        stream : PredictionStream
            ``step`` and ``predict`` take the next steps as they come, before any transformer.

        Raises
        ------
        NotFittedError
            If the pipeline is not fitted.
        TypeError
            If the last step is no such network, or if another step does not work on single steps; the message names
            it. If ``n_sequences`` is no integer, or ``precision`` no text.
        ValueError
            For bidirectional networks, for ``n_sequences`` below 1, and for another ``precision``.

        Notes
        -----
        StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler, and ColumnTransformer and pipelines of them, add about
        a microsecond or less to a step: the compiled step does their arithmetic, with the same bits. Steps are then
        arrays of numbers in the order of the fit's features. Scalers that clip, and all other transformers, run their
        own ``transform`` in every step, which takes some tenths of a millisecond each.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from sklearn_rnn import PredictionStream, RNNRegressor
        >>> from sklearn_rnn.preprocessing import TimeDistributed
        >>> X = 100 + 20 * np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> regressor = RNNRegressor(8, bidirectional=False, max_iter=2, random_state=0)
        >>> pipeline = make_pipeline(TimeDistributed(StandardScaler()), regressor).fit(
        ...     X, [0, 1, 0, 1]
        ... )
        >>> stream = PredictionStream.from_pipeline(pipeline)
        >>> for x in X[0]:
        ...     prediction = stream.step(x)
        >>> np.allclose(prediction, pipeline.predict(X[:1]))
        True
        """
        *steps, (name, network) = flat_steps("pipeline", pipeline)
        if not hasattr(network, "stream"):
            raise TypeError(
                f"pipeline ends in the step {name!r}, a {type(network).__name__}, but it must end in an RNNClassifier "
                "or RNNRegressor. Pass the best_estimator_ of a search."
            )
        stream = network.stream(n_sequences, precision)
        return cls(stream._model, n_sequences, stream._n_jobs, copy.deepcopy(steps), precision)

    def _set_up(
        self, model: Model, n_sequences: int, n_jobs: int | None, transformers: Transformers, precision: str | None
    ) -> None:
        self._model, self._n_jobs, self._transformers, self._precision = model, n_jobs, transformers, precision
        self._front = front = front_of(list(transformers), model.schema)
        network = model.network
        self._weights = network.prepare_int8() if precision == "int8" else network.prepare(for_backward=False)
        self._running = running = self._new_state(n_sequences)
        self._decode = _fast_decoder(model)
        # Values show NaN by themselves; labels need the warning.
        self._decode_chunk = self._decode if isinstance(model.coding, ValueCoding) else model.decode
        # The first takes steps as the network reads them. The second takes those that the user passes, if only scalers
        # stand between, and arrays alone. Both work on the same state.
        self._stepper = self._direct_stepper = None
        if not model.schema.patches.n_shared:
            arrays = (running.state, running.pooled, running.n_steps)
            self._stepper = self._direct_stepper = network.stepper(self._weights, *arrays)
            self._most_steps = steps_of_call(network, n_sequences)
            if front is not None and front.scaling is not None and not front.stages:
                scaling = front.scaling.of_patches(model.schema.patches.stride)
                self._direct_stepper = network.stepper(self._weights, *arrays, scaling)
            elif front is not None:
                self._direct_stepper = None
        # The third takes chunks of a single sequence as they are.
        schema = model.schema
        is_plain = schema.categories is None and schema.feature_names is None and schema.dtype is not None
        is_step = front is None and schema.patches == Patches()
        self._chunk_stepper = self._stepper if is_plain and is_step else None

    # A pickle has no prepared weights: other kernels may run where it is loaded.
    def __getstate__(self) -> dict[str, Any]:
        state = {"model": to_plain(self._model), "n_jobs": self._n_jobs, "transformers": self._transformers}
        return stamped(state | {"precision": self._precision, "state": self.state})

    def __setstate__(self, state: dict[str, Any]) -> None:
        name = type(self).__name__
        state, has_stamp = without_stamp(state, name)
        model = from_plain(state["model"], ("model",), f"{name}.model") if has_stamp else state["model"]
        n_sequences, precision = len(state["state"]["n_steps"]), state.get("precision")
        self._set_up(model, n_sequences, state["n_jobs"], state.get("transformers", ()), precision)
        self._running.assign(state["state"])

    def _new_state(self, n_sequences: int) -> RunningState:
        """Return the state before the first step."""
        running, schema = RunningState(self._model.network, n_sequences), self._model.schema
        if schema.patches.n_shared:
            shape = (n_sequences, schema.patches.n_shared, schema.step_features)
            running.arrays["previous_steps"] = np.zeros(shape, schema.dtype)
        if self._front is not None:
            running.arrays |= self._front.start(n_sequences)
        return running

    @property
    def n_sequences(self) -> int:
        """Number of sequences, which continue side by side.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = reg.fit(X, [0, 1, 0, 1]).stream(4)
        >>> stream.n_sequences
        4
        """
        return len(self._running.n_steps)

    # ---- Predictions ---------------------------------------------------------------------------------

    def step(self, x: Any, rows: Any = None) -> np.ndarray:
        """Run the next network step of every sequence, or of some, and predict.

        Parameters
        ----------
        x : array-like of shape (n_sequences, step_features)
            The next step of each sequence. With patches: the next s = ``patch_stride_`` steps, of shape (n_sequences,
            s, step_features) or (n_sequences, s * step_features). For a single sequence the first axis may be left out.
            Fastest is a C-contiguous array of the dtype in which the estimator was fitted.
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            The sequences that continue: different indices (negative ones count from the end), or a mask. x has a step
            for each of them, in this order; the others stay. None: all.

        Returns
        -------
        ndarray of shape (n_sequences,) or (n_sequences, n_outputs)
            The predictions of the estimator's ``predict`` for sequences that end with this step; with ``rows``, for
            these sequences.

        Raises
        ------
        ValueError, TypeError
            For bad input; the state of the stream stays unchanged.

        Notes
        -----
        A classifier's ``predict`` warns if scores are NaN. This method does not, because the test would make every
        step slower. ``step_proba`` shows NaN.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = reg.fit(X, [0, 1, 0, 1]).stream(4)
        >>> for t in range(10):
        ...     predictions = stream.step(X[:, t])
        >>> np.allclose(predictions, reg.predict(X))
        True
        """
        stepper = self._direct_stepper
        if rows is None and stepper is not None and stepper.is_ready(x):
            return self._decode(stepper.step(x))
        return self._decode(self._scores_of_step(x, rows))

    @available_if(_has_probabilities)
    def step_proba(self, x: Any, rows: Any = None) -> np.ndarray:
        """Run the next network step of every sequence, or of some, and predict probabilities.

        Parameters
        ----------
        x : array-like of shape (n_sequences, step_features)
            As for ``step``.
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            As for ``step``.

        Returns
        -------
        ndarray of shape (n_sequences, n_classes)
            The probabilities of the estimator's ``predict_proba`` for sequences that end with this step, without an
            axis for the steps.

        Raises
        ------
        ValueError, TypeError
            For bad input; the state of the stream stays unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNClassifier
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> clf = RNNClassifier(8, bidirectional=False, max_iter=2, random_state=0)
        >>> stream = clf.fit(X, [0, 1, 0, 1]).stream(4)
        >>> for t in range(10):
        ...     probabilities = stream.step_proba(X[:, t])
        >>> np.allclose(probabilities, clf.predict_proba(X))
        True
        """
        stepper = self._direct_stepper
        if rows is None and stepper is not None and stepper.is_ready(x):
            return self._model.probabilities(stepper.step(x))
        return self._model.probabilities(self._scores_of_step(x, rows))

    def _scores_of_step(self, x: Any, rows: Any) -> np.ndarray:
        """Check and transform a step, then run it; return the raw scores."""
        which = None if rows is None else self._different_rows(rows)
        n_sequences, schema = self.n_sequences if which is None else len(which), self._model.schema
        x, carried = self._read_step(x, which, n_sequences)
        if which is None and self._stepper is not None:
            scores = self._stepper.step(x)
            for name, array in carried.items():
                self._running.arrays[name][...] = array
            return scores
        steps = x.reshape(-1, schema.step_features)
        return self._scores(Sequences(steps, np.full(n_sequences, schema.patches.stride), "array"), carried, which)

    def _different_rows(self, rows: Any) -> np.ndarray:
        """Return the indices of sequences, each once and counted from the start."""
        indices = np.arange(self.n_sequences)[check_rows(rows, self.n_sequences)]
        if len(indices) == 0:
            raise ValueError("rows chooses no sequence: at least one must have a next step.")
        unique, counts = np.unique(indices, return_counts=True)
        if len(unique) < len(indices):
            raise ValueError(
                f"rows contains sequence {unique[counts > 1][0]} {counts.max()} times: one step of a sequence at a "
                "time."
            )
        return indices

    def _read_step(
        self, x: Any, which: np.ndarray | None, n_sequences: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return a step as the network reads it, (n_sequences, n_values), and the arrays that the front carries on."""
        schema = self._model.schema
        if self._front is None:
            return schema.read_step(x, n_sequences), {}
        rows = slice(None) if which is None else which
        arrays = {name: self._running.arrays[name][rows] for name in self._front.start(0)}
        return self._front.read_step(x, schema, arrays, n_sequences)

    def predict(self, X: Any) -> Any:
        """Run the next steps of every sequence, one or several, and predict.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, step_features), or list of arrays of shape \
                (n_steps_i, step_features) or (n_steps_i,)
            At least one network step of each sequence, which is ``patch_stride_`` steps of data. If the estimator was
            fitted on 2-D X, also of shape (n_sequences, n_steps * step_features).

        Returns
        -------
        ndarray or list of ndarray
            Predictions like those of the estimator's ``predict``. With readout "each": for every one of these steps,
            in the form of X. With other readouts: after the last step.

        Raises
        ------
        ValueError, TypeError
            For bad input; the state of the stream stays unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = reg.fit(X, [0, 1, 0, 1]).stream(4)
        >>> first = stream.predict(X[:, :7])
        >>> np.allclose(first, reg.predict(X[:, :7]))
        True
        >>> np.allclose(stream.predict(X[:, 7:]), reg.predict(X))
        True
        """
        return self._predict(X, self._decode_chunk)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Run the next steps of every sequence, one or several, and predict probabilities.

        Parameters
        ----------
        X : array-like or list
            As for ``predict``.

        Returns
        -------
        ndarray or list of ndarray
            Probabilities like those of the estimator's ``predict_proba``. With readout "each": for every one of these
            steps, in the form of X. With other readouts: after the last step.

        Raises
        ------
        ValueError, TypeError
            For bad input; the state of the stream stays unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNClassifier
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> clf = RNNClassifier((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = clf.fit(X, ["a", "b", "a", "b"]).stream(4)
        >>> np.allclose(stream.predict_proba(X), clf.predict_proba(X))
        True
        """
        return self._predict(X, self._model.probabilities)

    def _predict(self, X: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        schema, front = self._model.schema, self._front
        if (stepper := self._chunk_stepper) is not None:
            n_steps = stepper.n_ready_steps(X)  # every check that X would pass, in one call
            if 0 < n_steps <= self._most_steps:
                values = function(stepper.run_steps(X, n_steps, self._model.is_per_step))
                return values[np.newaxis] if self._model.is_per_step else values
        carried: dict[str, np.ndarray] = {}
        if front is None:
            sequences = schema.read_chunk(X, self.n_sequences)  # with readout "each", a patch is one step
        else:
            sequences, carried = front.read_chunk(X, schema, self._running.arrays, self.n_sequences)
        return self._model.in_form_of(sequences, function(self._scores(sequences, carried)))

    def _scores(
        self, sequences: Sequences, carried: dict[str, np.ndarray], which: np.ndarray | None = None
    ) -> np.ndarray:
        """Raw scores of the next steps of all sequences, or of those at ``which``.

        The state changes only after all are computed: an interrupt leaves it unchanged.
        """
        patches, arrays = self._model.schema.patches, self._running.arrays
        rows = slice(None) if which is None else which
        if patches.n_shared:
            previous = arrays["previous_steps"][rows].copy()
            sequences = patches.continue_from(previous, sequences)
            carried = carried | {"previous_steps": previous}
        else:
            sequences = patches.join(sequences)
        n_steps, is_all = sequences.common_length, which is None
        if self._stepper is not None and is_all and n_steps is not None and n_steps <= self._most_steps:
            scores = self._scores_in_one_call(sequences, n_steps)
        else:
            continuation = Continuation(self._running, which)
            scores = predict_scores(self._model.network, sequences, self._n_jobs, self._weights, continuation)
            continuation.commit()
        for name, array in carried.items():
            arrays[name][rows] = array
        return scores

    def _scores_in_one_call(self, sequences: Sequences, n_steps: int) -> np.ndarray:
        """Raw scores of a few next steps of all sequences, as many of each, by the stepper."""
        assert self._stepper is not None
        n_sequences, is_per_step = self.n_sequences, self._model.is_per_step
        rows = sequences.packed_rows(slice(None), packing_of_equal_lengths(n_sequences, n_steps))
        scores = self._stepper.run_steps(rows, n_steps, is_per_step)
        if is_per_step and n_sequences > 1:  # from step after step to sequence after sequence
            scores = scores.reshape(n_steps, n_sequences, -1).swapaxes(0, 1).reshape(len(scores), -1)
        return scores

    # ---- State ---------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The sequences' current state: a dict of copies of arrays, whose first axis is n_sequences.

        "layer_0.h" (n_sequences, n_units), for LSTM also "layer_0.c", then "layer_1.h", …. For readouts "mean" and
        "max" the pools of the steps so far, "readout.sum" and "readout.maximum" (-inf before the first step). "n_steps"
        (n_sequences,), the number of network steps so far. With patches that overlap, "previous_steps" (n_sequences,
        ``patch_size_ - patch_stride_``, step_features), the last steps of data. With ``ForwardFill`` in a pipeline,
        under the name of its step, "forwardfill.values", "forwardfill.since" and "forwardfill.steps": the last values
        (NaN before the first), their times, and the number of steps. Assign such a dict to continue from that state.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = reg.fit(X, [0, 1, 0, 1]).stream(4)
        >>> state = stream.state
        >>> sorted(state)
        ['layer_0.h', 'n_steps', 'readout.maximum', 'readout.sum']
        >>> first = stream.step(X[:, 0])
        >>> stream.state = state  # back to the beginning
        >>> np.array_equal(stream.step(X[:, 0]), first)
        True
        """
        return self._running.copied_arrays()

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._running.assign(checked_arrays(state, self._running.arrays, self._new_state(1).arrays))

    def reset(self, rows: Any = None) -> None:
        """Reset sequences to the state before their first step.

        Parameters
        ----------
        rows : int, array-like of int, or array-like of bool of shape (n_sequences,), default=None
            The sequences: their indices (negative ones count from the end) or a mask. None: all.

        Raises
        ------
        ValueError, TypeError
            For indices out of range, and for rows that are neither indices nor a mask; no sequence is reset.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_rnn import RNNRegressor
        >>> X = np.sin(np.arange(40.0)).reshape(4, 10, 1)
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0)
        >>> stream = reg.fit(X, [0, 1, 0, 1]).stream(4)
        >>> predictions = stream.predict(X)
        >>> stream.reset([0, 2])
        >>> stream.state["n_steps"].tolist()
        [0, 10, 0, 10]
        """
        rows = slice(None) if rows is None else check_rows(rows, self.n_sequences)
        beginning = self._new_state(1)
        for name, array in self._running.arrays.items():
            array[rows] = beginning.arrays[name]
