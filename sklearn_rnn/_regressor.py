"""RNNRegressor: real-valued targets and their losses."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_rnn._base import BaseRNN, can_partial_fit
from sklearn_rnn._data.targets import check_weights, check_y
from sklearn_rnn._documentation import document_rnn
from sklearn_rnn._training.losses import REGRESSION_LOSSES


@document_rnn
class RNNRegressor(RegressorMixin, BaseRNN):
    """Recurrent neural network regressor, trained by backpropagation through time.

    One target, or several, per sequence or (``readout="each"``) per step. Targets are not scaled: where
    theirs is far from 1, wrap the regressor in
    :class:`~sklearn.compose.TransformedTargetRegressor`.

    Parameters
    ----------
    {parameters}
    loss : {{"squared_error", "absolute_error", "huber", "poisson"}}, default="squared_error"
        Squared error: half of it, as in MLPRegressor. Huber: quadratic within 1 of the target and linear
        beyond. Poisson: half the deviance, with the mean exp(h V + c); y must not be negative. With
        several outputs the mean over them.

    Attributes
    ----------
    {attributes}

    See Also
    --------
    RNNClassifier : Recurrent neural network for class labels.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(300, random_state=0)
    >>> reg = RNNRegressor(max_iter=50, learning_rate="cosine", random_state=0)
    >>> reg.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **BaseRNN._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
    }

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        loss="squared_error",
        cell="gru",
        activation="tanh",
        bidirectional=False,
        readout="last",
        step_features=1,
        patch_size=1,
        dropout=0.0,
        truncation=None,
        truncation_stride=None,
        truncation_tolerance=0.5,
        memory_budget=None,
        stateful=False,
        clip_norm=1.0,
        clip_value=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.003,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        max_fun=15000,
        warm_start=False,
        verbose=False,
        n_jobs=None,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            cell=cell,
            activation=activation,
            bidirectional=bidirectional,
            readout=readout,
            step_features=step_features,
            patch_size=patch_size,
            dropout=dropout,
            truncation=truncation,
            truncation_stride=truncation_stride,
            truncation_tolerance=truncation_tolerance,
            memory_budget=memory_budget,
            stateful=stateful,
            clip_norm=clip_norm,
            clip_value=clip_value,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            max_fun=max_fun,
            warm_start=warm_start,
            verbose=verbose,
            n_jobs=n_jobs,
        )
        self.loss = loss

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @available_if(can_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, new_sequence=None):
        """Pass over the data once more, from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            Targets, as for ``fit``.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weights of the sequences. With ``stateful=True`` all may be 0: the state moves on, no update is made, and
            the call's loss and gradient norm are NaN.
        new_sequence : array-like of shape (n_sequences,), bool, default=None
            With ``stateful=True``: which sequences begin anew with this chunk, rather than go on where they were. None
            is none of them.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input; the estimator stays as it was.
        """
        return self._partial_fit(X, y, sample_weight, new_sequence)

    def _check_targets(self, y, sequences, reset, classes):
        y = check_y(y, sequences, per_step=self.readout == "each", numeric=True, dtype=self._dtype)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if reset:
            self.n_outputs_, self._y_is_flat = n_outputs, y.ndim == 1
        if n_outputs != self.n_outputs_:
            raise ValueError(f"y has {n_outputs} outputs, but {type(self).__name__} was fitted on {self.n_outputs_}.")
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"y contains {y.min()}, but loss='poisson' needs targets that are not negative.")
        return y.reshape(-1, n_outputs)

    def _make_loss(self):
        return REGRESSION_LOSSES[self.loss]()

    def _score_of(self, scores, targets, weights):
        from sklearn.metrics import r2_score  # here: importing it takes longer than all of this package

        return r2_score(targets, self._loss.predict(scores), sample_weight=weights)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.

        Returns
        -------
        ndarray of shape (n_sequences,) or (n_sequences, n_outputs), as y was
            For readout "each" one target (or row) per step, in the form of X: (n_sequences, n_steps) or
            (n_sequences, n_steps, n_outputs), or a list of arrays (n_steps_i,) or (n_steps_i, n_outputs).
        """
        scores, sequences = self._predict_scores(X)
        return self._in_form_of(sequences, self._predictions_of(scores))

    def _predictions_of(self, scores):
        outputs = self._loss.predict(scores)
        return outputs.ravel() if self._y_is_flat else outputs

    def score(self, X, y, sample_weight=None):
        """Return R^2, the coefficient of determination; for readout "each" over all steps.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            True targets, as for ``fit``.
        sample_weight : array-like of shape (n_sequences,), default=None
            Weights of the sequences.

        Returns
        -------
        float
        """
        if self.readout != "each":
            return super().score(X, y, sample_weight)
        sequences = self._check_new_sequences(X)
        y = check_y(y, sequences, per_step=True, numeric=True, dtype=np.float64)
        weights = np.repeat(check_weights(sample_weight, sequences, np.float64), sequences.lengths)
        from sklearn.metrics import r2_score  # here: importing it takes longer than all of this package

        return r2_score(y, np.concatenate(list(self.predict(X))), sample_weight=weights)
