"""RNNRegressor: real-valued targets and their losses."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_rnn._base import BaseRNN
from sklearn_rnn._data.coding import PositiveCoding, ValueCoding
from sklearn_rnn._data.target_readers import ValueReader
from sklearn_rnn._data.targets import check_squares, naming_targets
from sklearn_rnn._documentation import document_rnn
from sklearn_rnn._settings import CONSTRAINTS, can_partial_fit
from sklearn_rnn._training.losses import REGRESSION_LOSSES


@document_rnn
class RNNRegressor(RegressorMixin, BaseRNN):
    """Recurrent neural network regressor, trained by backpropagation through time.

    One target, or several, per sequence or (``readout="each"``) per step. Targets may have any scale: they
    are normalised for training (``normalize_y``), and predictions are in the units of y.

    For a target at every step, don't score with scikit-learn's own scorers (``scoring="r2"``): on 2-D y they take the
    steps for outputs, and on ragged y they fail, so that a search reports NaN. Use
    :func:`~sklearn_rnn.metrics.make_step_scorer`, which scores all steps of all sequences.

    The parameters by group:

    {groups}

    Parameters
    ----------
    {parameters}
    loss : {{"squared_error", "absolute_error", "huber", "poisson"}}, default="squared_error"
        Squared error: half of it, as in MLPRegressor. Huber: quadratic within 1 of the target (with
        ``normalize_y``: within one spread of the targets) and linear beyond. Poisson: half the deviance,
        with the logarithm of the mean as output; y must not be negative. With several outputs the mean
        over them.
    normalize_y : bool, default=True
        Whether training takes place in units of the targets' mean and spread. Losses, ``tol`` and the
        threshold of Huber's loss are then in these units. The first ``fit`` or ``partial_fit`` decides
        on the units; warm starts and later calls of ``partial_fit`` keep them.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,), float64
        Predictions are ``target_mean_ + target_scale_ * (h V + c)``: the weighted mean and standard
        deviation of the targets that were given to the first training, over sequences or steps. The
        scale of a constant output is 1. Zeros and ones without ``normalize_y``. For loss "poisson"
        predictions are ``exp(target_mean_ + target_scale_ * (h V + c))``: the logarithm of the mean, and
        sqrt(log(1 + v^2)), where v is the standard deviation divided by the mean.
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
    >>> X, y = make_noisy_sines(200, random_state=0)
    >>> reg = RNNRegressor(max_iter=20, random_state=0)
    >>> reg.fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
        "normalize_y": ["boolean"],
    }

    def __init__(
        self,
        # Architecture
        hidden_layer_sizes=(64,),
        *,
        cell="gru",
        activation="tanh",
        bidirectional="auto",
        readout=("last", "mean", "max"),
        normalize_readout=True,
        dropout=0.0,
        # Sequences
        step_features=1,
        categorical_features="from_dtype",
        categories="auto",
        embedding_size="auto",
        patch_size="auto",
        patch_stride=None,
        stateful=False,
        normalize_features=True,
        # BPTT
        truncation=None,
        truncation_stride=None,
        truncation_tolerance=0.5,
        memory_budget=None,
        # Optimizer
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        shuffle=True,
        learning_rate="cosine",
        learning_rate_init=0.01,
        power_t=0.5,
        clip_norm="auto",
        clip_value=None,
        clip_update=1.0,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.99,
        epsilon=1e-8,
        # Stopping
        max_iter=100,
        max_fun=15000,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        # Running
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=False,
        # Of this estimator
        loss="squared_error",
        normalize_y=True,
    ):
        self._set_parameters(locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @available_if(can_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, new_sequence=None):
        """Pass over the data once, continuing from the current weights and optimizer state.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            Targets, as for ``fit``.
        sample_weight : float, array-like or list, default=None
            Weights of the sequences or, for readout "each", of their steps, as for ``fit``. With ``stateful=True``
            all may be 0, also through unknown targets: then the state moves on without an update, and the call's
            loss and gradient norm are NaN.
        new_sequence : array-like of shape (n_sequences,), bool, default=None
            With ``stateful=True``: the sequences that start with this chunk, instead of continuing where they were.
            None: no sequence.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        ValueError, TypeError
            For bad input. The estimator does not change.

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor((8,), random_state=0)
        >>> for epoch in range(100):
        ...     reg = reg.partial_fit(X, y)
        >>> reg.n_iter_, reg.score(X, y) > 0.9
        (100, True)
        """
        return self._partial_fit(X, y, sample_weight, new_sequence)

    def _target_reader(self):
        return ValueReader(self.readout == "each", self.loss, self.normalize_y)

    def _make_loss(self, coding):
        loss = REGRESSION_LOSSES[self.loss]()
        fitted_link = "exp" if isinstance(coding, PositiveCoding) else "identity"
        if loss.link.name != fitted_link:
            raise ValueError(
                f"loss={self.loss!r} needs the output function {loss.link.name!r}, but the fitted network has "
                f"{fitted_link!r}: training continues only with the same function. To train a new network, call fit "
                "with warm_start=False."
            )
        return loss.in_units(coding.scale) if coding.is_normalized else loss

    def _set_fitted_attributes(self, best):
        super()._set_fitted_attributes(best)
        coding = self._model.coding
        assert isinstance(coding, ValueCoding)
        self.target_mean_, self.target_scale_ = coding.mean.copy(), coding.scale.copy()

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

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor((8,), random_state=0).fit(X, y)
        >>> (reg.predict([[0.3, 0.6], [0.7, 0.2]]) > 0).tolist()
        [True, False]
        """
        return self._apply(X, lambda scores: self._model.decode(scores))

    def score(self, X, y, sample_weight=None):
        """Return R^2, the coefficient of determination; for readout "each" over all steps.

        Parameters
        ----------
        X : array-like or list
            Sequences, as for ``fit``.
        y : array-like
            True targets, as for ``fit``. Steps with an unknown one (readout "each") do not count.
        sample_weight : array-like of shape (n_sequences,); for readout "each" also array-like of shape \
                (n_sequences, n_steps) or a list of arrays of shape (n_steps_i,), default=None
            Weights of the sequences or of their steps.

        Returns
        -------
        float

        Examples
        --------
        >>> from sklearn_rnn import RNNRegressor
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = [0.8, -0.5, 0.5, -0.8]
        >>> reg = RNNRegressor((8,), random_state=0).fit(X, y)
        >>> reg.score(X, y) > 0.9
        True
        """
        from sklearn.metrics import r2_score  # here: importing it takes longer than all of this package

        y, predicted, weights = self._read_scored(X, y, sample_weight)
        y = np.array(y)
        y[weights == 0] = 0  # 0 times an infinite square would be NaN
        check_squares(y, weights)
        with naming_targets("y"), np.errstate(over="ignore"):  # squared errors may be infinite: R^2 is -inf
            return r2_score(y, predicted, sample_weight=weights)
