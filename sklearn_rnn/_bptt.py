"""Backpropagation through time over one block of sequences: its loss and gradient, update by update."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sklearn_rnn._network import NetworkBuffers


class DropoutMasks(NamedTuple):
    """Zeros, and 1 / (1 - dropout) for what stays: one draw a sequence, the same at every step.

    Gal & Ghahramani 2016: a mask that changed from step to step would be noise in the recurrence; it
    would also have to be stored for every step to run a window again.

    Attributes
    ----------
    layers : list of ndarray of shape (n_sequences, n_units)
        Between the layers.
    readout : ndarray of shape (n_sequences, n_hidden)
        Before the output layer.
    """

    layers: list | None
    readout: np.ndarray | None

    @classmethod
    def draw(cls, network, n_sequences, dropout, random_state):
        """Draw masks for a block; None without dropout."""
        if dropout == 0:
            return cls(None, None)
        keep, dtype = 1 - dropout, network.dtype
        widths = [sum(direction.n_units for direction in layer) for layer in network.layers]
        masks = [(random_state.uniform(size=(n_sequences, n)) < keep).astype(dtype) / dtype.type(keep) for n in widths]
        return cls(masks[:-1], masks[-1])


class Backpropagation:
    """Computes gradients of a network, in memory of its own: one for every thread.

    Parameters
    ----------
    network : RecurrentNetwork
    weights : PreparedWeights
        The network's. Whoever changes its parameters refreshes them.
    loss : Loss

    Attributes
    ----------
    gradient : Parameters
        Of the loss summed over samples with their weights (not of their mean); complete whenever
        :meth:`updates` has yielded.
    """

    def __init__(self, network, weights, loss):
        self.network = network
        self.weights = weights
        self.loss = loss
        self.gradient = network.parameters.like()
        # A window is run in up to two segments, whose tapes live at the same time.
        self._buffers = (NetworkBuffers(), NetworkBuffers())

    def _forward(self, rows, packing, state, buffers, masks):
        return self.network.forward(self.weights, rows, packing, state, buffers, masks.layers)

    def _backward(self, tape, d_hidden, d_state, buffers, masks):
        return self.network.backward(self.weights, tape, d_hidden, d_state, self.gradient, buffers, masks.layers)

    def _stream(self, rows, packing, state, masks, keeps_hidden=True):
        return self.network.stream(self.weights, rows, packing, state, self._buffers[0], masks.layers, keeps_hidden)

    def updates(self, batch, plan, truncation, masks):
        """Yield (sum of weighted losses, sum of weights) whenever the weights are to be updated.

        The consumer changes the network's parameters before it asks for the next one.

        Parameters
        ----------
        batch : PackedBatch
        plan : list of Window
            Of the whole batch that this block is a part of, which may be longer than its sequences.
        truncation : int or None
        masks : DropoutMasks
        """
        if self.network.readout == "each":
            yield from self._update_at_each_window(batch, plan, masks)
        else:
            self.gradient.vector[...] = 0
            yield self._update_once(batch, plan, truncation, masks)

    # ---- Readout "each": a loss at every step, an update at every window -----------------------------

    def _update_at_each_window(self, batch, plan, masks):
        state = self.network.initial_state(batch.packing.n_sequences)
        for window, following in zip(plan, [*plan[1:], None]):
            self.gradient.vector[...] = 0
            n_steps = batch.packing.n_steps
            stop = min(window.stop, n_steps)
            if window.loss_start >= stop:  # this block's sequences are over
                yield 0.0, 0.0
                continue
            # The next window starts from this one's state at that step: cut there.
            cut = stop if following is None else min(following.start, stop)
            bounds = [window.start, *([cut] if window.start < cut < stop else []), stop]
            losses, weights, state_at_cut = self._window_with_losses(batch, state, bounds, window.loss_start, masks)
            yield losses, weights
            state = state if cut == window.start else state_at_cut

    def _window_with_losses(self, batch, state, bounds, loss_start, masks):
        """One window in one or two segments; return losses, weights and the state after the first."""
        segments, states = [], []
        for (start, stop), buffers in zip(pairwise(bounds), self._buffers):
            packing = batch.packing.window(start, stop)
            rows = batch.packing.rows_of_steps(start, stop)
            hidden, state, tape = self._forward(batch.rows[rows], packing, state, buffers, masks)
            first_loss_row = packing.offsets[min(max(loss_start - start, 0), packing.n_steps)]
            segments.append((hidden, tape, rows, first_loss_row, buffers))
            states.append(state)
        d_state = self.network.initial_state(batch.packing.n_sequences)
        losses, weights = 0.0, 0.0
        for hidden, tape, rows, first_loss_row, buffers in reversed(segments):
            d_hidden, loss, weight = self._losses_of_rows(batch, hidden, tape.packing, rows, first_loss_row, masks)
            d_state = self._backward(tape, d_hidden, d_state, buffers, masks)
            losses, weights = losses + loss, weights + weight
        return losses, weights, states[0]

    def _losses_of_rows(self, batch, hidden, packing, rows, first_loss_row, masks):
        """Losses of a segment's rows from ``first_loss_row`` on, and their gradient d_hidden."""
        seen = hidden[first_loss_row:]
        targets = batch.targets[rows][first_loss_row:]
        weights = batch.weights[rows][first_loss_row:]
        if masks.readout is not None:
            mask = masks.readout[packing.sequence_of_row[first_loss_row:]]
            seen = seen * mask
        scores = self.network.scores(seen)
        d_scores = self.loss.gradient(scores, targets, weights)
        d_seen = self.network.scores_backward(seen, d_scores, self.gradient)
        if masks.readout is not None:
            d_seen *= mask
        if first_loss_row:
            d_seen = np.concatenate([np.zeros((first_loss_row, d_seen.shape[1]), d_seen.dtype), d_seen])
        return d_seen, self.loss.value(scores, targets, weights), weights.sum(dtype=np.float64)

    # ---- Readouts "last", "mean", "max": one loss a sequence, one update a batch ---------------------

    def _update_once(self, batch, plan, truncation, masks):
        network = self.network
        rows, packing, state = (
            batch.rows,
            batch.packing,
            network.initial_state(batch.packing.n_sequences),
        )
        pool = network.pool(packing.lengths)
        if network.readout != "last":
            plan = [window for window in plan if window.loss_start < packing.n_steps]
            if len(plan) > 1:
                return self._update_once_by_windows(batch, state, plan, pool, masks)
        elif len(plan) > 1:
            rows, packing, state = self._run_heads(batch, state, truncation, masks)
        hidden, state, tape = self._forward(rows, packing, state, self._buffers[0], masks)
        pool.add(hidden, packing, 0)
        d_pooled, losses, weights = self._losses_of_sequences(batch, pool, state, masks)
        d_hidden = pool.d_hidden(d_pooled, packing, 0)
        d_state = network.d_final_state(pool.d_final_hidden(d_pooled))
        self._backward(tape, d_hidden, d_state, self._buffers[0], masks)
        return losses, weights

    def _run_heads(self, batch, state, truncation, masks):
        """Run all but each sequence's own last steps, without a tape; return what is left to run."""
        head, tail, head_rows, tail_rows = batch.packing.split_tails(truncation)
        for _ in self._stream(batch.rows[head_rows], head, state, masks, keeps_hidden=False):
            pass
        return batch.rows[tail_rows], tail, state

    def _update_once_by_windows(self, batch, state, plan, pool, masks):
        """The gradient cut at window borders: all forward first, for the pool, then window by window."""
        network, n_steps = self.network, batch.packing.n_steps
        starting_states = []
        for start, stop in pairwise([*(window.start for window in plan), n_steps]):
            starting_states.append(list(state))
            if start == stop:
                continue
            packing = batch.packing.window(start, stop)
            rows = batch.rows[batch.packing.rows_of_steps(start, stop)]
            for step, chunk, hidden in self._stream(rows, packing, state, masks):
                pool.add(hidden, chunk, start + step)
        d_pooled, losses, weights = self._losses_of_sequences(batch, pool, state, masks)
        for window, state in zip(plan, starting_states):
            stop = min(window.stop, n_steps)
            packing = batch.packing.window(window.start, stop)
            rows = batch.rows[batch.packing.rows_of_steps(window.start, stop)]
            _, _, tape = self._forward(rows, packing, state, self._buffers[0], masks)
            d_hidden = pool.d_hidden(d_pooled, packing, window.start)
            d_hidden[: packing.offsets[window.loss_start - window.start]] = 0  # losses of an earlier window
            d_state = network.initial_state(packing.n_sequences)
            self._backward(tape, d_hidden, d_state, self._buffers[0], masks)
        return losses, weights

    def _losses_of_sequences(self, batch, pool, final_state, masks):
        """Losses of the pooled states and their gradient d_pooled."""
        pooled = pool.finish(self.network.final_hidden(final_state))
        if masks.readout is not None:
            pooled = pooled * masks.readout
        scores = self.network.scores(pooled)
        d_scores = self.loss.gradient(scores, batch.targets, batch.weights)
        d_pooled = self.network.scores_backward(pooled, d_scores, self.gradient)
        if masks.readout is not None:
            d_pooled *= masks.readout
        losses = self.loss.value(scores, batch.targets, batch.weights)
        return d_pooled, losses, batch.weights.sum(dtype=np.float64)
