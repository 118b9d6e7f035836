"""gradient_flow: the error on its way back through time, step by step."""

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

    Does the error reach the steps that matter, or does it vanish (or explode) on its way? Steps are counted
    back from each sequence's end: lag 0 is its last step, and at lag k only the sequences of more than k
    steps take part. With ``patch_size``, steps are the network's.

    L is the mean training loss over the given sequences, without penalty and dropout. With readout "each" it
    is the mean of the losses of the sequences' last steps alone, so that every error has come as many steps as its
    lag says. With "mean" and "max" errors enter at all steps, so that there the norms also tell where they
    enter, not only what becomes of them.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, not bidirectional. It is left as it is.
    X : array-like or list
        Sequences, as for ``fit``. All are taken as one batch: some dozens usually show what there is.
    y : array-like
        Targets, as for ``fit``.
    n_iterations : int, default=10
        Iterations that find the singular values, from below: 10 miss some tenths of a per cent on average and
        some per cent at worst, 20 next to nothing. They take most of the time; 0 leaves them out.
    random_state : int, RandomState instance or None, default=0
        Draws the iterations' start vectors.

    Returns
    -------
    flow : Bunch
        With the attributes

        loss : float
            The mean loss L.
        n_sequences : ndarray of shape (n_lags,), int
            Sequences that take part at each lag. n_lags is the number of steps of the longest one.
        layers : list of Bunch
            One for each layer, the lowest first, with the attributes

            hidden_norms : ndarray of shape (n_lags,)
                Norm of dL/dh_t at each lag.
            preactivation_norms : ndarray of shape (n_lags,)
                Norm of dL/da_t, where a_t = x_t W + h_{t-1} U + b, all gates. (The candidate of the GRU
                has x_t W + b and a product of its own with h_{t-1}: there it is that of the former.)
            recurrent_norms : ndarray of shape (n_lags,)
                Norm of the step's own part of dL/dU, the gradient of the recurrent weights, which is the
                sum of the parts of all steps.
            dropped_share : ndarray of shape (n_lags + 1,)
                At [h] the share of dL/dU that comes from beyond the last h steps: the norm of the sum of
                the parts of the lags from h on, over the norm of dL/dU. With readout "last" it is what
                ``truncation=h`` drops. From 1 at h = 0 to 0 at h = n_lags; in between it may exceed 1, as the
                parts of near and far steps may cancel. NaN where dL/dU is zero.
            singular_values, max_singular_values : ndarray of shape (n_lags,)
                Largest singular value of the Jacobian d state_t / d state_{t-1}: the most that the step can
                enlarge an error by, on average over the sequences and for the one where it is largest. An
                LSTM's state is (h, c), any other's h. NaN with ``n_iterations=0``.

        All norms are Frobenius norms over all sequences, computed in float64.

    Raises
    ------
    NotFittedError, TypeError, ValueError

    See Also
    --------
    truncation_bias : What truncation makes of the whole gradient.

    Notes
    -----
    The gradient is the sum over steps, and the error on its way the product over steps, of equations 3 to 5
    in [1]_: where all largest singular values are below 1, it vanishes; to explode it needs some above 1.
    Memory is that of all states of all steps, in float64, some times over.

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
    >>> regressor = RNNRegressor((8,), max_iter=1, n_iter_no_change=float("inf"), random_state=0).fit(X, y)
    >>> layer = gradient_flow(regressor, X, y).layers[0]
    >>> layer.hidden_norms.shape, layer.dropped_share.shape
    ((30,), (31,))
    """
    model, loss, dataset = check_problem(estimator, X, y)
    assert dataset.weights is not None
    if dataset.per_step and not dataset.weights[np.cumsum(dataset.sequences.lengths) - 1].any():
        raise ValueError(
            f"class_weight={estimator.class_weight} leaves every sequence's last step, whose loss is looked at, with "
            "weight 0: pass sequences that end in other classes."
        )
    random_state = check_random_state(random_state)
    with threads(1), without_overflow_warnings():
        traced = trace(model.network, loss, dataset)
        layers = [_layer_flow(layer, n_iterations, random_state) for layer in traced.layers]
    return Bunch(loss=traced.loss, n_sequences=traced.n_sequences, layers=layers)


def _layer_flow(layer: SteppedLayer, n_iterations: int, random_state: np.random.RandomState) -> Bunch:
    preactivation_norms, rest_norms = layer.preactivations_and_rest()
    by_lag = np.full((2, layer.lags.n_steps), np.nan)
    if n_iterations:
        values = layer.largest_singular_values(n_iterations, random_state)
        of_lags = [values[start:stop] for start, stop in layer.lags.slices]
        by_lag[:] = [[function(of_lag) for of_lag in of_lags] for function in (np.mean, np.max)]
    return Bunch(
        hidden_norms=layer.hidden_norms,
        preactivation_norms=preactivation_norms,
        recurrent_norms=layer.own_recurrent_norms,
        dropped_share=rest_norms / rest_norms[0],
        singular_values=by_lag[0],
        max_singular_values=by_lag[1],
    )
