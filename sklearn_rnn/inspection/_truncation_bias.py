"""truncation_bias: truncated gradients compared with the full gradient."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import Bunch, gen_batches
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_rnn._data.batches import PackedBatch
from sklearn_rnn._data.reading import naming_argument
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import NO_MASKS
from sklearn_rnn._training.gradient_trace import pack_in_float64
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._utils.threads import threads
from sklearn_rnn._utils.warnings import without_overflow_warnings
from sklearn_rnn.inspection._check import check_problem


@validate_params(
    {"truncation_stride": [Interval(Integral, 1, None, closed="left"), None]}, prefer_skip_nested_validation=True
)
def truncation_bias(estimator, X, y, truncations, *, truncation_stride=None):
    """Compare the gradients of truncated backpropagation through time with the full gradient.

    Each gradient is that of the mean loss over X with respect to all parameters, at the current weights, without
    penalty and dropout. With readout "each", training updates the weights at every window: here it is the sum of the
    gradients of all updates, with the weights kept fixed.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, not bidirectional. It is not changed. Its own ``truncation`` is ignored.
    X : array-like or list
        Sequences, as for ``fit``. They are cut into batches of the estimator's ``batch_size``, without shuffling. The
        sequences of a batch share their windows, as in training.
    y : array-like
        Targets, as for ``fit``.
    truncations : array-like of int of shape (n_truncations,)
        Values of the estimators' ``truncation``: numbers of steps, at least 1, through which an error flows back. A
        value of at least the longest sequence's number of steps gives the full gradient.
    truncation_stride : int, default=None
        The estimators' parameter of the same name: number of steps between updates, at most the smallest of
        ``truncations``. None: the same as each truncation. Readout "last" ignores it.

    Returns
    -------
    bias : Bunch
        It has the following attributes, where g_h is the truncated gradient and g the full gradient.

        truncations : ndarray of shape (n_truncations,), int
            The argument as an array.
        cosine : ndarray of shape (n_truncations,)
            Cosine of the angle between g_h and g. If it is positive, a small enough descent step along -g_h lowers the
            loss.
        relative_norm : ndarray of shape (n_truncations,)
            Norm of g_h, divided by the norm of g.
        relative_bias : ndarray of shape (n_truncations,)
            Norm of g_h - g, divided by the norm of g. If it stays below 1, stochastic gradient descent with g_h
            converges for smooth activations and suitable learning rates [1]_.

    Raises
    ------
    NotFittedError, TypeError, ValueError

    See Also
    --------
    gradient_flow : Show the gradient step by step.

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
    >>> regressor = RNNRegressor((8,), bidirectional=False, max_iter=1, random_state=0).fit(
    ...     X, y
    ... )
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

    def gradient(truncation: int | None) -> np.ndarray:
        return _sum_of_gradients(network, loss, batches, truncation, truncation_stride)

    with threads(estimator.n_jobs) as run:
        full, *truncated = run(gradient, [None, *truncations.tolist()])
    cosine, relative_norm, relative_bias = np.transpose([_compare(one, full) for one in truncated])
    return Bunch(truncations=truncations, cosine=cosine, relative_norm=relative_norm, relative_bias=relative_bias)


def _sum_of_gradients(
    network: RecurrentNetwork, loss: Loss, batches: list[PackedBatch], truncation: int | None, stride: int | None
) -> np.ndarray:
    """Sum of the gradients of all updates of all batches, in one vector; the weights do not change."""
    backpropagation = Backpropagation(network, network.prepare(), loss)
    total = np.zeros_like(network.parameters.vector)
    with without_overflow_warnings():
        for batch in batches:
            windows = FixedTruncation(truncation, stride).draw(batch.packing.n_steps, None)
            for update in backpropagation.updates(batch, windows, NO_MASKS):
                total += update.gradient.vector
    return total


def _compare(truncated: np.ndarray, full: np.ndarray) -> tuple[float, float, float]:
    """Cosine, relative norm and relative bias of a truncated gradient."""
    with without_overflow_warnings(), np.errstate(divide="ignore"):  # of a gradient of zeros: NaN, or infinity
        # The root of the product, not the product of the roots: exactly 1 if both are equal.
        cosine = truncated @ full / np.sqrt((truncated @ truncated) * (full @ full))
        norm, truncated_norm, difference = map(np.linalg.norm, (full, truncated, truncated - full))
        return float(min(cosine, 1.0)), float(truncated_norm / norm), float(difference / norm)


def _check_truncations(truncations: Any, stride: int | None) -> np.ndarray:
    with naming_argument("truncations"):
        array = np.asarray(truncations)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"truncations must be a list of integers of at least 1, got {truncations!r}.")
    if array.min() < 1:
        raise ValueError(f"truncations[{array.argmin()}] is {array.min()}: it must be at least 1 step.")
    if stride is not None and stride > array.min():
        raise ValueError(
            f"truncation_stride={stride} is more than truncations[{array.argmin()}]={array.min()}: the losses of the "
            "steps between windows would be lost. Choose truncation_stride <= every truncation."
        )
    return array
