"""truncation_bias: truncated gradients beside the full one."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, gen_batches
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import NO_MASKS
from sklearn_rnn._training.gradient_trace import pack_in_float64
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._check import check_problem


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
    model, loss, dataset = check_problem(estimator, X, y)
    truncations = _check_truncations(truncations, truncation_stride)
    network = model.network.copy(np.float64)
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
            windows = FixedTruncation(truncation, stride).draw(batch.packing.n_steps, None)
            for update in backpropagation.updates(batch, windows, NO_MASKS):
                total += update.gradient.vector
    return total


def _compare(truncated, full):
    """Cosine, relative norm and relative bias of a truncated gradient."""
    with without_overflow_warnings():
        # The root of the product, not the product of the roots: 1 exactly where both are equal.
        cosine = truncated @ full / np.sqrt((truncated @ truncated) * (full @ full))
        norm = np.linalg.norm(full)
        return min(cosine, 1.0), np.linalg.norm(truncated) / norm, np.linalg.norm(truncated - full) / norm


def _check_truncations(truncations, stride):
    with naming_argument("truncations"):
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
