"""Backpropagation through time over one block of sequences: forward, losses, backward, for every update."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.batches import PackedBatch
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.network import NetworkTape, RecurrentNetwork
from sklearn_rnn._network.parameters import Parameters
from sklearn_rnn._network.prepared_weights import PreparedWeights
from sklearn_rnn._network.readouts import Pool
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.memory.activations import ActivationMemory
from sklearn_rnn._training.memory.revolve import State
from sklearn_rnn._training.memory.segments import Segment, SegmentedPass
from sklearn_rnn._training.truncation.policy import Window, Windows


class Update(NamedTuple):
    """Sums over the samples that an update of the weights is made from.

    Attributes
    ----------
    loss : float
        Sum of the weighted losses.
    weight : float
        Sum of the samples' weights.
    gradient : Parameters
        Of ``loss``. The next update uses its memory again.
    """

    loss: float
    weight: float
    gradient: Parameters


class Backpropagation:
    """Computes the gradients of one block of sequences, in memory of its own: blocks may run side by side.

    A batch begins with :meth:`begin` and ends with :meth:`end`. Between them come its updates: for readout "each"
    :meth:`update_of_window` for window after window, for any other readout one :meth:`update_of_batch`. The weights may
    change between updates.

    Parameters
    ----------
    network : RecurrentNetwork
    prepared : PreparedWeights
        The network's parameters as its passes read them. Whoever changes the parameters refreshes them.
    loss : Loss
    memory_budget : int or None, default=None
        Bytes for activations, as ActivationMemory takes it.

    Attributes
    ----------
    memory : ActivationMemory
    gradient : Parameters
        Of the last update.
    n_threads : int
        How many threads the passes may use.
    state : list of ndarray
        Network state after the last steps that have been run; after a batch's last update, the state after the batch.
    """

    def __init__(
        self, network: RecurrentNetwork, prepared: PreparedWeights, loss: Loss, memory_budget: int | None = None
    ) -> None:
        self.network, self.prepared, self.loss = network, prepared, loss
        self.memory = ActivationMemory(network, memory_budget)
        self.gradient = network.parameters.like()
        self.n_threads = 1

    def begin(self, batch: PackedBatch, windows: Windows, masks: DropoutMasks, state: State | None = None) -> None:
        """Take a new batch.

        Parameters
        ----------
        batch : PackedBatch
        windows : Windows
            Of the whole batch that this block is a part of, which may be longer than its sequences.
        masks : DropoutMasks
        state : list of ndarray, or None
            Network state before the first step; None for zeros.
        """
        self._batch, self._windows, self._masks = batch, windows, masks
        self.memory.work.n_threads = self.n_threads
        self.state = self.network.initial_state(batch.packing.n_sequences) if state is None else state
        self._start_state = self.state  # before the next window

    def end(self) -> State:
        """Forget the batch, so that its memory is free before the next one is packed; return the state after it."""
        del self._batch, self._windows, self._masks, self._start_state
        return self.state

    def updates(
        self, batch: PackedBatch, windows: Windows, masks: DropoutMasks, state: State | None = None
    ) -> Iterator[Update]:
        """Begin a batch and yield all its updates, for a block that is run alone."""
        self.begin(batch, windows, masks, state)
        if self.network.readout != "each":
            yield self.update_of_batch()
            return
        for window, next_start in self._windows.with_next_starts():
            yield self.update_of_window(window, next_start)

    # ---- Readout "each": a loss at every step, an update at every window -----------------------------

    def update_of_window(self, window: Window, next_start: int | None) -> Update:
        """Return the update of a window; the next window begins at ``next_start`` (None after the last one)."""
        batch, packing = self._batch, self._batch.packing
        self.gradient.vector[...] = 0
        stop = min(window.stop, packing.n_steps)
        if window.loss_start >= stop:  # the sequences of this block are over
            return Update(0.0, 0.0, self.gradient)
        # Forward. The next window continues from the state before its own first step.
        next_start = stop if next_start is None else min(next_start, stop)
        steps = self._pass_over(batch, window.start, stop, [next_start])
        for segment, _, after in steps.forward(self._start_state):
            self.state = after
            if segment.stop == next_start:
                self._start_state = after
        # Losses and backward, segment by segment from the last to the first.
        d_state = self.network.initial_state(packing.n_sequences)
        loss = weight = 0.0
        for segment, hidden, tape in steps.backward():
            d_hidden, *sums = self._losses_of_steps(segment, tape.packing, hidden, window.loss_start)
            d_state = self._backward(segment, tape, d_hidden, d_state)
            loss, weight = loss + sums[0], weight + sums[1]
            del hidden, tape, d_hidden
        return Update(loss, weight, self.gradient)

    def _losses_of_steps(
        self, segment: Segment, packing: Packing, hidden: np.ndarray, loss_start: int
    ) -> tuple[np.ndarray | None, float, float]:
        """Return a segment's d_hidden, the losses of its steps from ``loss_start`` on, and their weight."""
        if segment.stop <= loss_start:
            return None, 0.0, 0.0
        first = packing.offsets[max(loss_start - segment.start, 0)]
        targets, weights = self._batch.targets[segment.rows][first:], self._batch.weights[segment.rows][first:]
        mask = None if self._masks.readout is None else self._masks.readout[packing.sequence_of_row[first:]]
        d_hidden = self.memory.work.of("readout").array("d_hidden", hidden.shape, hidden.dtype)
        d_hidden[:first] = 0
        _, loss = self._losses(hidden[first:], mask, targets, weights, d_hidden[first:])
        return d_hidden, loss, weights.sum(dtype=np.float64)

    # ---- Readouts "last", "mean", "max": one loss a sequence, one update a batch ---------------------

    def update_of_batch(self) -> Update:
        """Return the update of a batch."""
        batch, windows = self._batch, list(self._windows)
        reserved = 0
        self.gradient.vector[...] = 0
        if self.network.readout == "last" and self._windows.tail is not None:
            reserved = self.memory.reserved_without_tape(batch.packing)
            batch = self._run_heads(batch, self._windows.tail)
            windows = [Window(0, 0, batch.packing.n_steps)]
        windows = [window for window in windows if window.loss_start < batch.packing.n_steps]
        pool = self.network.pool(batch.packing.lengths)
        assert pool is not None
        if len(windows) > 1:
            return self._update_by_windows(batch, windows, pool)
        # Forward.
        steps = self._pass_over(batch, 0, batch.packing.n_steps, reserved=reserved, keeps_hidden=pool.needs_hidden)
        for segment, hidden, after in steps.forward(self.state):
            self.state = after
            pool.add(hidden, segment.packing, segment.start)
        # Losses.
        d_pooled, loss, weight = self._losses_of_sequences(batch, pool)
        # Backward.
        self._backward_from_pool(steps, windows[0], d_pooled, pool)
        return Update(loss, weight, self.gradient)

    def _run_heads(self, batch: PackedBatch, n_last: int) -> PackedBatch:
        """Run all steps but each sequence's own ``n_last``, without a tape; return the batch of these last steps."""
        head, tail, head_rows, tail_rows = batch.packing.split_tails(n_last)
        self.state = self._run_without_tape(batch.rows[head_rows], head, self.state)
        return replace(batch, rows=batch.rows[tail_rows], packing=tail)

    def _update_by_windows(self, batch: PackedBatch, windows: list[Window], pool: Pool) -> Update:
        """Cut the gradient at window borders: all steps forward for the pool, then window by window from the last."""
        packing = batch.packing
        spans = list(pairwise([*(window.start for window in windows), packing.n_steps]))  # from start to start
        starts, reserved = self.memory.starts_of_windows(packing, windows, has_masks=self._masks.layers is not None)

        def run(place: int, state: State, pool: Pool | None = None) -> State:
            start, stop = spans[place]
            rows = batch.rows[packing.rows_of_steps(start, stop)]
            return self._run_without_tape(rows, packing.window(start, stop), state, pool, start)

        # Forward.
        for place in range(len(windows)):
            starts.offer(place, self.state)
            self.state = run(place, self.state, pool)
        # Losses.
        d_pooled, loss, weight = self._losses_of_sequences(batch, pool)
        # Backward.
        for place, state in starts.backward(run):
            window = windows[place]
            stop = min(window.stop, packing.n_steps)
            if pool.has_error(window.loss_start, stop):
                steps = self._pass_over(batch, window.start, stop, [window.loss_start], reserved=reserved)
                for _ in steps.forward(state):
                    pass
                self._backward_from_pool(steps, window, d_pooled, pool)
        return Update(loss, weight, self.gradient)

    def _losses_of_sequences(self, batch: PackedBatch, pool: Pool) -> tuple[np.ndarray, float, float]:
        """Return d_pooled, the gradient with respect to the pooled states, the losses, and their weight."""
        pooled = pool.finish(self.network.final_hidden(self.state))
        d_pooled, loss = self._losses(pooled, self._masks.readout, batch.targets, batch.weights)
        return d_pooled, loss, batch.weights.sum(dtype=np.float64)

    def _backward_from_pool(self, steps: SegmentedPass, window: Window, d_pooled: np.ndarray, pool: Pool) -> None:
        """Carry back through a window the part of the pooled states' error that enters it from ``loss_start`` on."""
        d_state = self.network.d_final_state(pool.d_final_hidden(d_pooled, window.loss_start, window.stop))
        buffers = self.memory.work.of("readout")
        for segment, hidden, tape in steps.backward():
            has_loss = segment.start >= window.loss_start  # otherwise its losses belong to an earlier window
            d_hidden = pool.d_hidden(d_pooled, tape.packing, segment.start, buffers) if has_loss else None
            d_state = self._backward(segment, tape, d_hidden, d_state)
            del hidden, tape, d_hidden

    # ---- What both share -----------------------------------------------------------------------------

    def _pass_over(
        self,
        batch: PackedBatch,
        start: int,
        stop: int,
        borders: Any = (),
        *,
        reserved: int = 0,
        keeps_hidden: bool = False,
    ) -> SegmentedPass:
        """Return the pass over steps ``start`` to ``stop - 1`` of a batch, whose segments begin at ``borders`` too."""
        masks = self._masks.layers

        def run(segment: Segment, state: State, buffers: Any, keeps_tape: bool) -> Any:
            rows, keeps = batch.rows[segment.rows], (keeps_tape, keeps_tape or keeps_hidden)
            buffers.n_threads = self.n_threads
            return self.network.forward(self.prepared, rows, segment.packing, state, buffers, masks, *keeps)

        borders = [*borders, *self._windows.borders(start, stop)]
        return self.memory.window_pass(
            run, batch.packing, start, stop, borders, has_masks=masks is not None, reserved=reserved
        )

    def _run_without_tape(
        self, rows: np.ndarray, packing: Packing, state: State, pool: Pool | None = None, first_step: int = 0
    ) -> State:
        """Return the state after some steps; give the hidden states to a pool."""
        state, keeps_hidden = list(state), pool is not None and pool.needs_hidden
        chunks = self.network.forward_without_tape(
            self.prepared, rows, packing, state, self.memory.work, self._masks.layers, keeps_hidden=keeps_hidden
        )
        for step, chunk, hidden in chunks:
            if pool is not None:
                pool.add(hidden, chunk, first_step + step)
        return state

    def _losses(
        self,
        seen: np.ndarray,
        mask: np.ndarray | None,
        targets: np.ndarray,
        weights: np.ndarray,
        out: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:
        """Return the gradient with respect to the rows that the output layer sees, and the sum of their losses.

        The gradient is in ``out``, if this is given.
        """
        if mask is not None:
            seen = seen * mask
        output = self.prepared.output
        loss, d_scores = self.loss.value_and_gradient(output(seen), targets, weights)
        d_seen = output.backward(seen, d_scores, self.gradient.group("readout"), out)
        if mask is not None:
            d_seen *= mask
        return d_seen, loss

    def _backward(self, segment: Segment, tape: NetworkTape, d_hidden: np.ndarray | None, d_state: State) -> State:
        """Carry the error back through a segment, to the state before it."""
        d_state = self.network.backward(
            self.prepared,
            tape,
            d_hidden,
            d_state,
            self.gradient,
            self.memory.work,
            self._masks.layers,
        )
        self._windows.pass_border(d_state, segment.start, segment.batch_packing.batch_sizes[segment.start])
        return d_state
