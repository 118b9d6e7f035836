"""The backward pass step by step: the part of every step in the gradient, before the parts are summed.

A gradient is a sum over steps (Pascanu, Mikolov & Bengio 2013, eq. 4). The part of a step is the error that reaches
the step, times the step's derivative with respect to the parameters. Here every layer runs one step at a time. It uses
its recurrence's contract only: this works for every cell.

Steps are counted back from each sequence's end: lag 0 is the last step. All arrays of rows here are ordered by lag:
first the last steps of all sequences, then the steps before them of every sequence that has one, and so on. This is
the packing of the sequences reversed in time (``Packing.reversed_rows``). Lag k is its k-th slice of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.utils import gen_batches

from sklearn_rnn._data.batches import Dataset, PackedBatch
from sklearn_rnn._data.packing import Packing, packing_of_equal_lengths
from sklearn_rnn._network.buffers import Buffers, NetworkBuffers
from sklearn_rnn._network.cells.cell import Tape
from sklearn_rnn._network.engines import Recurrence
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._utils.warnings import without_overflow_warnings

# Size of the states whose Jacobians are computed together.
JACOBIAN_VALUES = 2**18
# Step of differences in float64, relative to the states. Their error is of this order, that of rounding of 1e-9.
DIFFERENCE_STEP = 1e-7


@dataclass
class Trace:
    """The norms of a backward pass at every lag.

    Attributes
    ----------
    loss : float
        L, the weighted mean of the losses.
    n_sequences : ndarray of shape (n_lags,), int
        Number of sequences that have a step at each lag.
    layers : list of SteppedLayer
        The first layer comes first.
    """

    loss: float
    n_sequences: np.ndarray
    layers: list[SteppedLayer]

    @property
    def hidden_norms(self) -> np.ndarray:
        """(n_lags,) norm of dL/dh_t over all layers and sequences (phi_k of Aicher, Foti & Fox 2019)."""
        return self._over_layers("hidden_norms")

    @property
    def own_norms(self) -> np.ndarray:
        """(n_lags,) norm of each step's own part of the gradient, over all parameters of all layers."""
        return self._over_layers("own_norms")

    @property
    def kept_norms(self) -> np.ndarray:
        """(n_lags + 1,) norm of the sum of the parts of the lags before h, for h = 0, 1, …, n_lags."""
        return self._over_layers("kept_norms")

    def _over_layers(self, name: str) -> np.ndarray:
        # Not the root of a sum of squares: the squares of small errors would underflow to 0.
        return np.hypot.reduce([getattr(layer, name) for layer in self.layers], axis=0)


def trace(
    network: RecurrentNetwork, loss: Loss, dataset: Dataset, n_steps: int | None = None, readout: str | None = None
) -> Trace:
    """Follow the error back through all steps of a dataset, as one batch in float64.

    L is the weighted mean of the training losses, without penalty and dropout. With readout "each", L contains only the
    losses of the last steps: the lag of a step is then the number of steps that the error has passed.

    Parameters
    ----------
    network : RecurrentNetwork
        Not bidirectional: the last step of a reverse pass is the first step of the forward one.
    loss : Loss
    dataset : Dataset
        At least one of the losses in L has a weight above 0. Otherwise all results are NaN.
    readout : str or None
        Readout of the losses, if it is not the network's: "last" for the last steps of the sequences only. The
        network's readout "each" counts as "last".
    n_steps : int or None
        Follow the error through each sequence's last ``n_steps`` steps only. The steps before them run without a tape.

    Returns
    -------
    Trace

    Notes
    -----
    Memory: for each layer x, the states and their errors of these steps, in float64. The caller should limit BLAS to
    one thread, with which small products are fastest.
    """
    network, batch = network.copy(np.float64), pack_in_float64(dataset, np.arange(len(dataset)))
    if dataset.per_step:
        readout, batch = "last", _with_losses_at_the_ends(batch)
    packing = batch.packing
    with without_overflow_warnings():
        mean_loss, d_hidden = _loss_and_errors(network, loss, batch, readout)
        states = _states_before_tails(network, batch, n_steps)
        lags = packing.window(0, packing.n_steps if n_steps is None else min(n_steps, packing.n_steps))
        x = network.inputs(batch.rows[packing.reversed_rows[: lags.n_rows]], NetworkBuffers())
        d_hidden = d_hidden[: lags.n_rows]
        layers: list[SteppedLayer] = []
        for direction, state in zip(network.directions, states):
            layers.append(SteppedLayer(network.recurrence, network.parameters.group(direction.name), x, lags, state))
            x = layers[-1].forward()
        for layer in reversed(layers):
            d_hidden = layer.backward(d_hidden)
    return Trace(mean_loss, lags.batch_sizes, layers)


def pack_in_float64(dataset: Dataset, indices: np.ndarray) -> PackedBatch:
    """Pack the sequences at ``indices``, longest first, in float64."""
    batch = dataset.pack(indices)
    names = ("rows", "targets", "weights")
    in_float64: dict[str, Any] = {name: getattr(batch, name).astype(np.float64, copy=False) for name in names}
    return replace(batch, **in_float64)


def _with_losses_at_the_ends(batch: PackedBatch) -> PackedBatch:
    """Return the batch with the targets of the last step of each sequence only."""
    ends = batch.packing.reversed_rows[: batch.packing.n_sequences]
    return replace(batch, targets=batch.targets[ends], weights=batch.weights[ends])


def _loss_and_errors(
    network: RecurrentNetwork, loss: Loss, batch: PackedBatch, readout: str | None
) -> tuple[float, np.ndarray]:
    """Return the mean loss, and the error from the readout in the last layer's h, (n_rows, n_hidden) by lag."""
    packing, state = batch.packing, network.initial_state(batch.packing.n_sequences)
    pool = network.pool(packing.lengths, readout)
    assert pool is not None
    buffers, weights = NetworkBuffers(), network.prepare()
    for first_step, chunk, hidden in network.forward_without_tape(
        weights, batch.rows, packing, state, buffers, keeps_hidden=pool.needs_hidden
    ):
        pool.add(hidden, chunk, first_step)
    pooled = pool.finish(network.final_hidden(state))
    shares = batch.weights / batch.weights.sum()
    mean_loss, d_scores = loss.value_and_gradient(weights.output(pooled), batch.targets, shares)
    d_pooled = weights.output.backward(pooled, d_scores, network.parameters.like().group("readout"))
    d_hidden = pool.d_hidden(d_pooled, packing, 0, buffers.of("readout"))
    errors = np.zeros((packing.n_rows, network.n_hidden)) if d_hidden is None else d_hidden[packing.reversed_rows]
    errors[: packing.n_sequences] += pool.d_final_hidden(d_pooled, 0, packing.n_steps)
    return mean_loss, errors


def _states_before_tails(network: RecurrentNetwork, batch: PackedBatch, n_steps: int | None) -> list[np.ndarray]:
    """Return the network state ``n_steps`` steps before each sequence's end, or before its first step."""
    state = network.initial_state(batch.packing.n_sequences)
    if n_steps is not None and n_steps < batch.packing.n_steps:
        head, _, head_rows, _ = batch.packing.split_tails(n_steps)
        buffers, weights = NetworkBuffers(), network.prepare(for_backward=False)
        for _ in network.forward_without_tape(weights, batch.rows[head_rows], head, state, buffers, keeps_hidden=False):
            pass
    return state


class SteppedLayer:
    """A recurrent layer that runs one step at a time, forward and backward. Rows are ordered by lag.

    Parameters
    ----------
    recurrence : Recurrence
    weights : dict of ndarray
        The layer's parameters, float64.
    x : ndarray of shape (n_rows, n_features)
    lags : Packing
        Packing of the rows; its k-th step is lag k.
    initial_state : ndarray of shape (n_states, n_sequences, n_units)
        The state before each sequence's first row.

    Attributes
    ----------
    hidden_norms : ndarray of shape (n_lags,)
        Norm of dL/dh_t: the error from the next step and the error from this step's output. All norms are Frobenius
        norms over all sequences.
    own_norms : ndarray of shape (n_lags,)
        Norm of each step's own part of the gradient, over all parameters of the layer.
    own_recurrent_norms : ndarray of shape (n_lags,)
        Norm of each step's own part of dL/dU.
    kept_norms : ndarray of shape (n_lags + 1,)
        Norm of the sum of the parts of the lags before h, for h = 0, 1, …, n_lags: the gradient that truncation to h
        steps keeps.
    gradient : Parameters
        The sum of all parts.
    """

    hidden_norms: np.ndarray
    own_norms: np.ndarray
    own_recurrent_norms: np.ndarray
    kept_norms: np.ndarray
    gradient: Parameters

    def __init__(
        self,
        recurrence: Recurrence,
        weights: dict[str, np.ndarray],
        x: np.ndarray,
        lags: Packing,
        initial_state: np.ndarray,
    ) -> None:
        self.recurrence, self.weights = recurrence, weights
        self.x, self.lags, self.initial_state = x, lags, initial_state
        self.step = Step(recurrence, weights)

    def forward(self) -> np.ndarray:
        """Run from the largest lag to lag 0; return h after every step, (n_rows, n_units)."""
        state = self.initial_state.copy()
        hidden = np.empty((self.lags.n_rows, state.shape[2]))
        states_before = []
        for start, stop in reversed(self.lags.slices):
            n = stop - start  # sequences that have begun; the others are still in their initial state
            states_before.append(state[:, :n].copy())
            state[:, :n] = self.step.forward(self.x[start:stop], states_before[-1])
            hidden[start:stop] = state[0, :n]
        self._states = states_before[::-1]  # by lag
        return hidden

    def backward(self, d_hidden: np.ndarray) -> np.ndarray:
        """Run back from lag 0, given the error that enters h at every step; return dL/dx, (n_rows, n_features)."""
        n_lags = self.lags.n_steps
        self.hidden_norms, self.own_norms, self.own_recurrent_norms = np.empty((3, n_lags))
        self.kept_norms = np.zeros(n_lags + 1)
        own, self.gradient = self.step.zero_gradient(), self.step.zero_gradient()
        d_x, d_state = np.empty_like(self.x), np.zeros_like(self.initial_state)
        self._d_states: list[np.ndarray] = []  # dL/d(state after the step) of each lag
        for lag, (start, stop) in enumerate(self.lags.slices):
            d_state = d_state[:, : stop - start].copy()
            d_state[0] += d_hidden[start:stop]
            self._d_states.append(d_state)
            own.vector[...] = 0
            d_x[start:stop], d_state = self.step.backward(self.x[start:stop], self._states[lag], d_state, own)
            self.gradient.vector += own.vector
            self._record_norms(lag, own)
        return d_x

    def _record_norms(self, lag: int, own: Parameters) -> None:
        self.hidden_norms[lag] = norm(self._d_states[lag][0])
        self.own_norms[lag] = norm(own.vector)
        self.own_recurrent_norms[lag] = norm(own.views["recurrent"])
        self.kept_norms[lag + 1] = norm(self.gradient.vector)

    def preactivation_and_dropped_norms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return two more norms of the backward pass, after :meth:`backward`.

        Returns
        -------
        preactivation_norms : ndarray of shape (n_lags,)
            Norm of dL/da_t, where a_t = x_t W + h_{t-1} U + b, of all gates.
        dropped_norms : ndarray of shape (n_lags + 1,)
            Norm of the sum of the parts of dL/dU of the lags from h on, for h = 0, 1, …, n_lags: the gradient that
            truncation to h steps drops.
        """
        # [x, 0] [W; I] = x W. The gradient with respect to the zeros is dL/da.
        n_features, n_columns = self.weights["input"].shape
        step = Step(self.recurrence, self.weights | {"input": np.vstack([self.weights["input"], np.eye(n_columns)])})
        n_lags = self.lags.n_steps
        preactivation_norms, dropped_norms = np.empty(n_lags), np.zeros(n_lags + 1)
        # Summed from the largest lag on. The difference of the whole and the kept gradient would be rounding errors.
        dropped = step.zero_gradient()
        for lag, (start, stop) in reversed(list(enumerate(self.lags.slices))):
            x = np.hstack([self.x[start:stop], np.zeros((stop - start, n_columns))])
            d_x, _ = step.backward(x, self._states[lag], self._d_states[lag], dropped)
            preactivation_norms[lag] = norm(d_x[:, n_features:])
            dropped_norms[lag] = norm(dropped.views["recurrent"])
        return preactivation_norms, dropped_norms

    def largest_singular_values(self, n_iterations: int, random_state: np.random.RandomState) -> np.ndarray:
        """Largest singular value of d state_t / d state_{t-1} at every row, (n_rows,); NaN if a state is not finite.

        Parameters
        ----------
        n_iterations : int
            At least 1. Iterations beyond the number of the state's components change nothing.
        random_state : RandomState
            Draws the start vectors.
        """
        states = np.concatenate(self._states, axis=1)
        n_states, n_rows, n_units = states.shape
        n_iterations, values = min(n_iterations, n_states * n_units), np.empty(n_rows)
        for rows in gen_batches(n_rows, max(1, JACOBIAN_VALUES // (n_states * n_units))):
            start_vectors = random_state.standard_normal(states[:, rows].shape)
            values[rows] = self._singular_values(self.x[rows], states[:, rows].copy(), start_vectors, n_iterations)
        return values

    def _singular_values(self, x: np.ndarray, states: np.ndarray, v: np.ndarray, n_iterations: int) -> np.ndarray:
        """Return the largest singular value of the Jacobian J of every row. A row is a sequence of one step.

        Bidiagonalisation J^T U = V B^T (Golub & Kahan 1965) needs J v, computed by differences, and J^T u, computed by
        backpropagation. B's largest singular value approaches J's from below. For an untrained layer of 64 units, the
        error after 10 iterations is 0.4 % on average; the error of 10 power iterations is 3 %.
        """
        after, unused = self.step.forward(x, states), self.step.zero_gradient()
        # Relative to the states before and after: a small difference of large numbers would be lost by rounding.
        magnitude = np.linalg.norm(states, axis=(0, 2)) + np.linalg.norm(after, axis=(0, 2))
        size = DIFFERENCE_STEP * (1 + magnitude)[:, None]
        u: Any = 0.0
        beta: Any = 0.0
        v, _ = _unit(v)
        bidiagonal = np.zeros((n_iterations, n_iterations + 1, len(x)))
        for k in range(n_iterations):
            product = (self.step.forward(x, states + size * v) - after) / size
            u, alpha = _unit(product - beta * u)
            _, product = self.step.backward(x, states, u, unused)
            v, beta = _unit(product - alpha * v)
            bidiagonal[k, k : k + 2] = alpha[:, 0], beta[:, 0]
        is_finite = np.isfinite(bidiagonal).all(axis=(0, 1))
        values = np.full(len(x), np.nan)
        values[is_finite] = np.linalg.norm(bidiagonal[:, :, is_finite].transpose(2, 0, 1), ord=2, axis=(1, 2))
        return values


class Step:
    """One step of a layer, over any number of rows at once.

    Parameters
    ----------
    recurrence : Recurrence
    weights : dict of ndarray
    """

    def __init__(self, recurrence: Recurrence, weights: dict[str, np.ndarray]) -> None:
        self._recurrence, self._buffers = recurrence, Buffers()
        self._shapes = {name: array.shape for name, array in weights.items()}
        self._weights = recurrence.prepare(weights, for_backward=True)

    def zero_gradient(self) -> Parameters:
        """Return zeros for the gradient of the weights."""
        return Parameters(self._shapes, np.float64)

    def forward(self, x: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return the state after the step, (n_states, n, n_units), given x (n, n_features) and the state before."""
        return self._run(x, state, keeps_tape=False)[1]

    def backward(
        self, x: np.ndarray, state: np.ndarray, d_state: np.ndarray, gradient: Parameters
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return dL/dx and dL/d(state before), given dL/d(state after); add the weights' gradient to ``gradient``."""
        _, _, tape = self._run(x, state, keeps_tape=True)
        d_x, d_state_before = self._recurrence.backward(
            tape, None, d_state.copy(), self._weights, gradient.views, self._buffers, needs_d_x=True
        )
        assert d_x is not None
        return d_x, d_state_before

    def _run(self, x: np.ndarray, state: np.ndarray, keeps_tape: bool) -> tuple[np.ndarray | None, np.ndarray, Tape]:
        packing = packing_of_equal_lengths(len(x), 1)
        keeps = (keeps_tape, keeps_tape)  # hidden states are needed only with a tape
        return self._recurrence.forward(x, packing, state, self._weights, self._buffers, *keeps)


def norm(array: np.ndarray) -> float:
    """Frobenius norm, by BLAS: its squares neither overflow nor underflow."""
    return scipy.linalg.norm(array.ravel(), check_finite=False)


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale every row's vector, (n_states, n_rows, n_units), to length 1 (or leave it 0); return it and its length."""
    lengths = np.linalg.norm(vectors, axis=(0, 2))[:, None]
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), lengths
