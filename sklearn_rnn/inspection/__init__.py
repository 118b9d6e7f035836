"""Inspection of fitted networks: what becomes of the error on its way back through time."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state, gen_batches
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._base import BaseRNN
from sklearn_rnn._data.sequences import naming
from sklearn_rnn._training.bptt import Backpropagation, DropoutMasks
from sklearn_rnn._training.gradient_trace import in_float64, pack_in_float64, trace
from sklearn_rnn._training.trainer import without_overflow_warnings
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._utils.threads import threads

__all__ = ["gradient_flow", "truncation_bias"]


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
    dataset = _check(estimator, X, y)
    if dataset.per_step and not dataset.weights[np.cumsum(dataset.sequences.lengths) - 1].any():
        raise ValueError(
            f"class_weight={estimator.class_weight} leaves every sequence's last step, whose loss is looked at, with "
            "weight 0: pass sequences that end in other classes."
        )
    random_state = check_random_state(random_state)
    with threads(1), without_overflow_warnings():
        traced = trace(estimator._network, estimator._loss, dataset)
        layers = [_layer_flow(layer, n_iterations, random_state) for layer in traced.layers]
    return Bunch(loss=traced.loss, n_sequences=traced.n_sequences, layers=layers)


def _layer_flow(layer, n_iterations, random_state):
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


@validate_params(
    {"truncation_stride": [Interval(Integral, 1, None, closed="left"), None]}, prefer_skip_nested_validation=True
)
def truncation_bias(estimator, X, y, truncations, *, truncation_stride=None):
    """Compare the gradients that truncated backpropagation through time computes with the full one.

    Each is the gradient of the mean loss over X with respect to all parameters at the present weights,
    without penalty and dropout. With readout "each", which updates the weights at every window, it is the sum of
    all updates' gradients with the weights held still.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, not bidirectional. It is left as it is; its own ``truncation`` does not matter.
    X : array-like or list
        Sequences, as for ``fit``. They are taken in batches of the estimator's ``batch_size``, in their order: the
        sequences of a batch share their windows, as in training.
    y : array-like
        Targets, as for ``fit``.
    truncations : array-like of int of shape (n_truncations,)
        Values of the estimators' ``truncation``: steps that an error flows back through, each at least 1. Those of
        at least the longest sequence's steps give the full gradient.
    truncation_stride : int, default=None
        The estimators' parameter of the same name: steps between updates, at most the smallest of
        ``truncations``. None is each truncation itself. It does not matter for readout "last".

    Returns
    -------
    bias : Bunch
        With the attributes, g_h being the truncated gradient and g the full one,

        truncations : ndarray of shape (n_truncations,), int
            As given.
        cosine : ndarray of shape (n_truncations,)
            Of the angle between g_h and g: positive, and a small enough step along g_h lowers the loss.
        relative_norm : ndarray of shape (n_truncations,)
            Norm of g_h over the norm of g.
        relative_bias : ndarray of shape (n_truncations,)
            Norm of g_h - g over the norm of g. As long as it stays below 1, stochastic gradient descent with g_h
            still converges, for smooth activations and suitable learning rates [1]_.

    Raises
    ------
    NotFittedError, TypeError, ValueError

    See Also
    --------
    gradient_flow : The gradient step by step.

    References
    ----------
    .. [1] C. Aicher, N. J. Foti and E. B. Fox (2019). Adaptively truncating backpropagation through time to
       control gradient bias. UAI, PMLR 115, 799-808.

    Examples
    --------
    >>> from sklearn_rnn import RNNRegressor
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> from sklearn_rnn.inspection import truncation_bias
    >>> X, y = make_adding_problem(20, 30, random_state=0)
    >>> regressor = RNNRegressor((8,), max_iter=1, n_iter_no_change=float("inf"), random_state=0).fit(X, y)
    >>> bias = truncation_bias(regressor, X, y, [5, 10, 30])
    >>> print(bias.cosine[-1], bias.relative_bias[-1])
    1.0 0.0
    """
    dataset = _check(estimator, X, y)
    truncations = _check_truncations(truncations, truncation_stride)
    network, loss = in_float64(estimator._network), estimator._loss
    batch_size = 64 if estimator.batch_size == "auto" else estimator.batch_size
    order = np.arange(len(dataset))
    batches = [pack_in_float64(dataset, order[part]) for part in gen_batches(len(dataset), batch_size)]

    def gradient(truncation):
        return _sum_of_gradients(network, loss, batches, truncation, truncation_stride)

    with threads(estimator.n_jobs) as run:
        full, *truncated = run(gradient, [None, *truncations.tolist()])
    cosine, relative_norm, relative_bias = np.transpose([_compare(one, full) for one in truncated])
    return Bunch(truncations=truncations, cosine=cosine, relative_norm=relative_norm, relative_bias=relative_bias)


def _sum_of_gradients(network, loss, batches, truncation, stride):
    """Sum of the gradients of all updates of all batches, in one vector; the weights stay as they are."""
    backpropagation = Backpropagation(network, network.prepare(), loss)
    total = np.zeros_like(network.parameters.vector)
    with without_overflow_warnings():
        for batch in batches:
            plan = FixedTruncation(truncation, stride).draw(batch.packing.n_steps, None)
            for _ in backpropagation.updates(batch, plan, DropoutMasks(None, None)):
                total += backpropagation.gradient.vector
    return total


def _compare(truncated, full):
    """Cosine, relative norm and relative bias of a truncated gradient."""
    with without_overflow_warnings():
        # The root of the product, not the product of the roots: 1 exactly where both are equal.
        cosine = truncated @ full / np.sqrt((truncated @ truncated) * (full @ full))
        norm = np.linalg.norm(full)
        return min(cosine, 1.0), np.linalg.norm(truncated) / norm, np.linalg.norm(truncated - full) / norm


def _check(estimator, X, y):
    """Check what both functions take; return X and y as a Dataset."""
    if not isinstance(estimator, BaseRNN):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, but an RNNClassifier or RNNRegressor is needed. Of a pipeline "
            "pass the last step, and X as the steps before it transform it (pipeline[:-1].transform(X))."
        )
    check_is_fitted(estimator)
    if estimator._network.is_bidirectional:
        raise ValueError(
            "estimator has bidirectional=True: its reverse passes reach a sequence's first step last, so that no step "
            "has one distance from the loss. Fit it with bidirectional=False."
        )
    estimator._check_architecture()
    return estimator._check_data(X, y, None, reset=False)


def _check_truncations(truncations, stride):
    with naming("truncations"):
        array = np.asarray(truncations)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"truncations must be a list of integers of at least 1, got {truncations!r}.")
    if array.min() < 1:
        raise ValueError(f"truncations[{array.argmin()}] is {array.min()}: it must be at least 1 step.")
    if stride is not None and stride > array.min():
        raise ValueError(
            f"truncation_stride={stride} is more than truncations[{array.argmin()}]={array.min()}: the losses of the "
            "steps between would be lost."
        )
    return array
