"""gradient_flow: the gradient step by step, from the last step back to the first."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_rnn._training.gradient_trace import SteppedLayer, trace
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._check import check_problem


@validate_params(
    {"n_iterations": [Interval(Integral, 0, None, closed="left")], "random_state": ["random_state"]},
    prefer_skip_nested_validation=True,
)
def gradient_flow(estimator, X, y, *, n_iterations=10, random_state=0):
    """Follow the gradient of the loss back through the steps of sequences, layer by layer.

    The result shows whether the error reaches the steps that matter, or vanishes (or explodes) before. Steps are
    counted back from each sequence's end: lag 0 is its last step. At lag k, the results contain the sequences of more
    than k steps. With ``patch_size``, a step is a network step.

    L is the mean training loss over the given sequences, without penalty and dropout. With readout "each", L is the
    mean loss of the sequences' last steps only: the lag of a step is then the number of steps that the error has
    passed. With readouts "mean" and "max", errors enter at all steps: the norms then also show where errors enter.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, not bidirectional. It is not changed.
    X : array-like or list
        Sequences, as for ``fit``. All of them are one batch: a few dozen are usually enough.
    y : array-like
        Targets, as for ``fit``.
    n_iterations : int, default=10
        Number of iterations that approximate the singular values, from below. The error of 10 iterations is some tenths
        of a per cent on average and some per cent at worst; the error of 20 is negligible. Most of the time is spent in
        them. With 0, there are no singular values.
    random_state : int, RandomState instance or None, default=0
        Draws the iterations' start vectors.

    Returns
    -------
    flow : Bunch
        It has the attributes

        loss : float
            The mean loss L, in the units of ``loss_curve_``.
        n_sequences : ndarray of shape (n_lags,), int
            Number of sequences of more than k steps, for every lag k. n_lags is the number of steps of the longest
            sequence.
        layers : list of Bunch
            One for each layer, the first layer first, with the attributes

            hidden_norms : ndarray of shape (n_lags,)
                Norm of dL/dh_t at each lag.
            preactivation_norms : ndarray of shape (n_lags,)
                Norm of dL/da_t, where a_t = x_t W + h_{t-1} U + b, of all gates. (In the GRU's candidate, the
                product with h_{t-1} is a separate term: there a_t is x_t W + b.)
            recurrent_norms : ndarray of shape (n_lags,)
                Norm of the step's own part of dL/dU. The gradient dL/dU of the recurrent weights is the sum of the
                parts of all steps.
            dropped_share : ndarray of shape (n_lags + 1,)
                At [h] the share of dL/dU from the steps before the last h steps: the norm of the sum of the parts
                of the lags from h on, divided by the norm of dL/dU. With readout "last", ``truncation=h`` drops this
                share. It is 1 at h = 0 and 0 at h = n_lags. Between them it may exceed 1, because the parts of near
                and far steps may cancel. NaN if dL/dU is zero.
            singular_values, max_singular_values : ndarray of shape (n_lags,)
                Largest singular value of the Jacobian d state_t / d state_{t-1}: the largest factor by which the step
                can enlarge an error. Mean over the sequences, and maximum over them. The state of an LSTM is (h, c),
                the state of other cells is h. NaN with ``n_iterations=0``.

        All norms are Frobenius norms over all sequences, computed in float64.

    Raises
    ------
    NotFittedError, TypeError, ValueError

    See Also
    --------
    truncation_bias : Compare truncated gradients with the full gradient.

    Notes
    -----
    By equations 3 to 5 of [1]_, the gradient is a sum over steps, and an error that has passed several steps is a
    product over them. If all largest singular values are below 1, the error vanishes. It can explode only if some are
    above 1. The function stores all states of all steps several times, in float64.

    References
    ----------
    .. [1] R. Pascanu, T. Mikolov and Y. Bengio (2013). On the difficulty of training recurrent neural networks.
       ICML, PMLR 28(3), 1310-1318.

    Examples
    --------
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import gradient_flow
    >>> X, y = make_adding_problem(20, 30, random_state=0)
    >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=1, random_state=0).fit(
    ...     X, y
    ... )
    >>> layer = gradient_flow(regressor, X, y).layers[0]
    >>> layer.hidden_norms.shape, layer.dropped_share.shape
    ((30,), (31,))
    """
    model, loss, dataset = check_problem(estimator, X, y)
    assert dataset.weights is not None
    if dataset.per_step and not dataset.weights[np.cumsum(dataset.sequences.lengths) - 1].any():
        raise ValueError(
            "y has no target with weight at the last step of any sequence, but only losses of last steps are used: "
            "pass sequences that end in known targets, in classes whose class_weight is above 0."
        )
    random_state = check_random_state(random_state)
    with threads(1), without_overflow_warnings():
        traced = trace(model.network, loss, dataset)
        layers = [_layer_flow(layer, n_iterations, random_state) for layer in traced.layers]
    return Bunch(loss=traced.loss, n_sequences=traced.n_sequences, layers=layers)


def _layer_flow(layer: SteppedLayer, n_iterations: int, random_state: np.random.RandomState) -> Bunch:
    """Return the results of one layer."""
    preactivation_norms, dropped_norms = layer.preactivation_and_dropped_norms()
    by_lag = np.full((2, layer.lags.n_steps), np.nan)
    if n_iterations:
        values = layer.largest_singular_values(n_iterations, random_state)
        of_lags = [values[start:stop] for start, stop in layer.lags.slices]
        by_lag[:] = [[function(of_lag) for of_lag in of_lags] for function in (np.mean, np.max)]
    return Bunch(
        hidden_norms=layer.hidden_norms,
        preactivation_norms=preactivation_norms,
        recurrent_norms=layer.own_recurrent_norms,
        dropped_share=dropped_norms / dropped_norms[0],
        singular_values=by_lag[0],
        max_singular_values=by_lag[1],
    )
