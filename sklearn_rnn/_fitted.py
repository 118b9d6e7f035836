"""FittedRNN: predictions, scores, hidden states and streams of a fitted estimator."""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._data.alignment import check_alignment
from sklearn_rnn._data.targets import check_labels, check_y, known_targets
from sklearn_rnn._data.weights import check_weights
from sklearn_rnn._inference.prediction import hidden_states, predict_scores
from sklearn_rnn._inference.stream import PredictionStream
from sklearn_rnn._model import Model
from sklearn_rnn._utils.estimators import SequenceEstimator


class FittedRNN(SequenceEstimator):
    """The methods of BaseRNN that need a Model (``_model``) and ``n_jobs``, and nothing of training."""

    _model: Model

    n_jobs: int | None

    def _read_new(self, X):
        """Check X as the fitted network reads it, not by the current parameters; return its network steps."""
        if "_model" not in vars(self):  # check_is_fitted looks at more, and takes longer than a short prediction
            check_is_fitted(self)
        schema = self._model.schema
        return schema.patches.of(schema.read(self, X))

    def _apply(self, X, function):
        """Return ``function`` of the raw scores h V + c, (n, n_outputs), by sequence or, in the form of X, by step."""
        sequences = self._read_new(X)
        scores = predict_scores(self._model.network, sequences, self.n_jobs)
        return self._model.in_form_of(sequences, function(scores))

    def _check_order(self, X, y, sample_weight):
        """Refuse pandas targets and weights in another order than the instances, or the steps, of X."""
        if not self._model.schema.is_table:
            check_alignment(X, y, "y")
            check_alignment(X, sample_weight, "sample_weight")

    def _read_scored(self, X, y, sample_weight):
        """Return true and predicted values, and weights, of all sequences or, for readout "each", of known steps."""
        check_is_fitted(self)
        self._check_order(X, y, sample_weight)
        model, sequences = self._model, self._read_new(X)
        per_step = model.is_per_step
        y = check_y(y, sequences, per_step=per_step, numeric=is_regressor(self), dtype=np.float64)
        y, is_known = known_targets(y, sequences) if per_step else (y, None)
        y = y if is_regressor(self) else check_labels(y, per_step)
        model.coding.check_outputs(y, type(self).__name__)
        weights = check_weights(sample_weight, sequences, np.float64, per_step=per_step)
        predicted = self.predict(sequences.of_data)
        predicted = np.concatenate(list(predicted)) if per_step else predicted
        if is_known is not None:
            predicted, weights = predicted[is_known], weights[is_known]
        if not weights.any():
            raise ValueError("y has no known target with a weight above 0: there is nothing to score.")
        return y, predicted, weights

    def hidden_states(self, X):
        """Hidden states of the last layer after every step.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences, n_steps, n_hidden), or a list of arrays (n_steps_i, n_hidden) for ragged X
            n_hidden is the number of units of the last layer, of both directions if bidirectional. Steps
            are network steps: one for every ``patch_stride_`` steps of X.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(X, y)
        >>> [states.shape for states in reg.hidden_states(X)]
        [(3, 8), (2, 8), (4, 8), (2, 8)]
        """
        sequences = self._read_new(X)
        return sequences.split(hidden_states(self._model.network, sequences, self.n_jobs))

    def stream(self, n_sequences=1, precision=None):
        """Return a stream that predicts step by step, at the same cost for each step.

        Parameters
        ----------
        n_sequences : int, default=1
            Number of sequences that continue side by side.
        precision : {"int8"} or None, default=None
            None: the dtype of the estimator; predictions are those of ``predict``. "int8": the weights of hidden states
            are rounded to 8 bits, and so are the hidden states in their products. Large networks are several times
            faster, and predictions change a little; see :ref:`int8-streams`.

        Returns
        -------
        stream : PredictionStream
            ``step(x)`` takes the next step of every sequence, ``predict(X)`` several steps. The stream copies the
            weights: further training of the estimator does not change it.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For bidirectional networks, which need whole sequences, for ``n_sequences`` below 1, and for another
            ``precision``, or "int8" with more than 65,536 units in a layer.
        TypeError
            If ``n_sequences`` is no integer, or ``precision`` is no text.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor((8,), bidirectional=False, max_iter=2, random_state=0).fit(X, y)
        >>> stream = reg.stream(n_sequences=2)
        >>> stream.step([[0.1], [0.8]]).shape  # the first step of both
        (2,)
        """
        check_is_fitted(self)
        return PredictionStream(self._model.copy(), n_sequences, self.n_jobs, precision=precision)

    @property
    def weights_(self):
        """Views of all parameters by name: assign in place (``weights_[name][...] = array``) to load weights.

        Training makes new parameters: read ``weights_`` again after it.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor(
        ...     (8,), cell="rnn", bidirectional=False, max_iter=2, random_state=0
        ... ).fit(X, y)
        >>> {
        ...     name: weights.shape
        ...     for name, weights in reg.weights_.items()
        ...     if name.startswith("layer_0")
        ... }
        {'layer_0.input': (1, 8), 'layer_0.recurrent': (8, 8), 'layer_0.bias': (8,)}
        >>> reg.weights_["layer_0.bias"][:] = 0
        """
        check_is_fitted(self, "_model")
        return dict(self._model.network.parameters.views)
