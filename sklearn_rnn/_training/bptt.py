"""Backpropagation through time over one block of sequences: its loss and gradient, update by update."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import NamedTuple

import numpy as np

from sklearn_rnn._network.network import NetworkBuffers
from sklearn_rnn._training.memory.segments import (
    Checkpoints,
    SegmentedPass,
    cut_into_segments,
    longest_window,
    n_rows_of,
    plan_memory,
    plan_starts,
    sizes_of,
)
from sklearn_rnn._training.truncation.fixed import Window


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
    memory_budget : int or None, default=None
        Bytes that the tapes of a window, states to make them again from, and the backward pass's arrays may take.

    Attributes
    ----------
    gradient : Parameters
        Of the loss summed over samples with their weights (not of their mean); complete whenever
        :meth:`updates` has yielded.
    state : list of ndarray
        Network state after the last steps that have been run; after a batch's last update, that after the batch.
    """

    def __init__(self, network, weights, loss, memory_budget=None):
        self.network = network
        self.weights = weights
        self.loss = loss
        self.memory_budget = memory_budget
        self.gradient = network.parameters.like()
        self._tape_memory = []
        self._work_memory = NetworkBuffers()

    def updates(self, batch, truncation, masks, state=None):
        """Yield (sum of weighted losses, sum of weights) whenever the weights are to be updated.

        The consumer changes the network's parameters before it asks for the next one.

        Parameters
        ----------
        batch : PackedBatch
        truncation : Truncation
            Of the whole batch that this block is a part of, which may be longer than its sequences.
        masks : DropoutMasks
        state : list of ndarray, or None
            Network state before the first step; None for zeros.
        """
        state = self.network.initial_state(batch.packing.n_sequences) if state is None else state
        if self.network.readout == "each":
            yield from self._update_at_each_window(batch, truncation, masks, state)
        else:
            self.gradient.vector[...] = 0
            yield self._update_once(batch, truncation, masks, state)

    # ---- One window: forward, and backward segment by segment ----------------------------------------

    def _begin(self, batch, start, stop, masks, borders, budget, keeps_hidden=False):
        """Return the pass over steps ``start`` to ``stop - 1`` of a batch, whose segments begin at ``borders`` too."""
        segments = cut_into_segments(self.network, batch.packing, start, stop, borders)
        has_masks = masks.layers is not None
        plan = plan_memory(self.network, segments, budget, has_masks)
        if budget is not None:
            self._make_room(segments, plan, budget, has_masks)

        def run(segment, state, buffers, keeps_tape):
            rows, keeps = batch.rows[segment.rows], (keeps_tape, keeps_tape or keeps_hidden)
            return self.network.forward(self.weights, rows, segment.packing, state, buffers, masks.layers, *keeps)

        return SegmentedPass(run, segments, plan, self._tape_memory)

    def _make_room(self, segments, plan, budget, has_masks):
        """Give memory back that other windows' tapes had, where with those of these there would be too much."""
        taped = segments[len(segments) - plan.n_tapes :]
        tape, state, work = sizes_of(self.network, segments[0].whole, n_rows_of(segments), has_masks)
        needed = [self.network.tape_bytes(n_rows_of([one]), one.whole.n_sequences, has_masks) for one in taped]
        if len(taped) < len(segments):
            needed[0] = tape  # it is also that of the segments that are run again
        del self._tape_memory[len(taped) :]
        held = [buffers.n_bytes for buffers in self._tape_memory]
        if sum(map(max, zip_longest(held, needed, fillvalue=0))) > budget - work - plan.n_states * state:
            self._tape_memory.clear()

    def _send_back(self, tape, d_hidden, d_state, masks):
        return self.network.backward(
            self.weights, tape, d_hidden, d_state, self.gradient, self._work_memory, masks.layers
        )

    def _amplify(self, d_state, segment, truncation):
        """Multiply what gets from a segment to the one before it by the gain of its first step."""
        gain = truncation.gains.get(segment.start)
        if gain is not None:
            # Sequences that are over have their own last step's error there, which has not gone through here.
            n_sequences = segment.whole.batch_sizes[segment.start]
            for d_direction in d_state:
                d_direction[:, :n_sequences] *= d_direction.dtype.type(gain)

    # ---- Readout "each": a loss at every step, an update at every window -----------------------------

    def _update_at_each_window(self, batch, truncation, masks, state):
        plan = truncation.windows
        for window, following in zip(plan, [*plan[1:], None]):
            self.gradient.vector[...] = 0
            stop = min(window.stop, batch.packing.n_steps)
            if window.loss_start >= stop:  # this block's sequences are over
                yield 0.0, 0.0
                continue
            # The next window starts from this one's state at that step.
            cut = stop if following is None else min(following.start, stop)
            borders = [cut, *truncation.amplified_steps(window.start, stop)]
            whole = self._begin(batch, window.start, stop, masks, borders, self.memory_budget)
            states = {window.start: state}

            def keep_cut(segment, _, state, cut=cut, states=states):
                if segment.stop == cut:
                    states[cut] = state

            self.state = whole.forward(state, keep_cut)
            yield self._window_backward(batch, whole, window.loss_start, truncation, masks)
            state = states[cut]

    def _window_backward(self, batch, whole, loss_start, truncation, masks):
        """Carry back the losses of a window from ``loss_start`` on; return their sum and that of their weights."""
        d_state = self.network.initial_state(batch.packing.n_sequences)
        losses, weights = 0.0, 0.0

        def send_back(segment, hidden, tape):
            nonlocal d_state, losses, weights
            d_hidden, loss, weight = self._losses_of_segment(batch, segment, tape.packing, hidden, loss_start, masks)
            d_state = self._send_back(tape, d_hidden, d_state, masks)
            self._amplify(d_state, segment, truncation)
            losses, weights = losses + loss, weights + weight

        whole.backward(send_back)
        return losses, weights

    def _losses_of_segment(self, batch, segment, packing, hidden, loss_start, masks):
        """Losses of a segment's steps from ``loss_start`` on, and the gradient d_hidden of all its rows, if any."""
        if segment.stop <= loss_start:
            return None, 0.0, 0.0
        first = packing.offsets[max(loss_start - segment.start, 0)]
        seen = hidden[first:]
        targets, weights = batch.targets[segment.rows][first:], batch.weights[segment.rows][first:]
        if masks.readout is not None:
            mask = masks.readout[packing.sequence_of_row[first:]]
            seen = seen * mask
        scores = self.network.scores(seen)
        d_scores = self.loss.gradient(scores, targets, weights)
        d_seen = self.network.scores_backward(seen, d_scores, self.gradient)
        if masks.readout is not None:
            d_seen *= mask
        if first:
            d_seen = np.concatenate([np.zeros((first, d_seen.shape[1]), d_seen.dtype), d_seen])
        return d_seen, self.loss.value(scores, targets, weights), weights.sum(dtype=np.float64)

    # ---- Readouts "last", "mean", "max": one loss a sequence, one update a batch ---------------------

    def _update_once(self, batch, truncation, masks, state):
        n_steps = batch.packing.n_steps
        plan = [window for window in truncation.windows if window.loss_start < n_steps]
        budget = self.memory_budget
        if self.network.readout == "last" and truncation.tail is not None:
            budget = None if budget is None else budget - self.network.stream_bytes(batch.packing)
            batch, state = self._run_heads(batch, state, truncation.tail, masks)
            plan = [Window(0, 0, batch.packing.n_steps)]
        pool = self.network.pool(batch.packing.lengths)
        if len(plan) > 1:
            return self._update_once_by_windows(batch, state, plan, truncation, pool, masks)
        n_steps = batch.packing.n_steps
        borders = truncation.amplified_steps(0, n_steps)
        whole = self._begin(batch, 0, n_steps, masks, borders, budget, pool.needs_hidden)
        self.state = whole.forward(state, lambda segment, hidden, _: pool.add(hidden, segment.packing, segment.start))
        d_pooled, losses, weights = self._losses_of_sequences(batch, pool, masks)
        self._pool_backward(whole, plan[0], d_pooled, pool, truncation, masks)
        return losses, weights

    def _run_heads(self, batch, state, n_last, masks):
        """Run all but each sequence's own last steps, without a tape; return the batch that is left, and its state."""
        head, tail, head_rows, tail_rows = batch.packing.split_tails(n_last)
        state = self._run_without_tape(batch.rows[head_rows], head, state, masks)
        return replace(batch, rows=batch.rows[tail_rows], packing=tail), state

    def _run_without_tape(self, rows, packing, state, masks, pool=None, first_step=0):
        """Return the state after some steps; give the hidden states to a pool."""
        state, keeps_hidden = list(state), pool is not None and pool.needs_hidden
        chunks = self.network.stream(
            self.weights, rows, packing, state, self._work_memory, masks.layers, keeps_hidden=keeps_hidden
        )
        for step, chunk, hidden in chunks:
            if pool is not None:
                pool.add(hidden, chunk, first_step + step)
        return state

    def _update_once_by_windows(self, batch, state, plan, truncation, pool, masks):
        """The gradient cut at window borders: all forward first, for the pool, then window by window from the last."""
        packing = batch.packing
        stretches = list(pairwise([*(window.start for window in plan), packing.n_steps]))  # from start to start

        def run(place, state, pool=None):
            start, stop = stretches[place]
            rows = batch.rows[packing.rows_of_steps(start, stop)]
            return self._run_without_tape(rows, packing.window(start, stop), state, masks, pool, start)

        sizes = (packing, longest_window(packing, plan), len(plan))
        n_states, budget = plan_starts(self.network, *sizes, self.memory_budget, masks.layers is not None)
        checkpoints = Checkpoints(len(plan), n_states)
        self.state = checkpoints.forward(state, lambda place, state: run(place, state, pool))
        d_pooled, losses, weights = self._losses_of_sequences(batch, pool, masks)
        for place, state in checkpoints.backward(run):
            window = plan[place]
            stop = min(window.stop, packing.n_steps)
            if not pool.has_error(window.loss_start, stop):
                continue
            borders = [window.loss_start, *truncation.amplified_steps(window.start, stop)]
            whole = self._begin(batch, window.start, stop, masks, borders, budget)
            whole.forward(state)
            self._pool_backward(whole, window, d_pooled, pool, truncation, masks)
        return losses, weights

    def _pool_backward(self, whole, window, d_pooled, pool, truncation, masks):
        """Carry back through a window what enters it of the pooled states' error from ``loss_start`` on."""
        d_state = self.network.d_final_state(pool.d_final_hidden(d_pooled, window.loss_start, window.stop))

        def send_back(segment, _, tape):
            nonlocal d_state
            has_loss = segment.start >= window.loss_start  # else its losses are an earlier window's
            d_hidden = pool.d_hidden(d_pooled, tape.packing, segment.start) if has_loss else None
            d_state = self._send_back(tape, d_hidden, d_state, masks)
            self._amplify(d_state, segment, truncation)

        whole.backward(send_back)

    def _losses_of_sequences(self, batch, pool, masks):
        """Losses of the pooled states and their gradient d_pooled."""
        pooled = pool.finish(self.network.final_hidden(self.state))
        if masks.readout is not None:
            pooled = pooled * masks.readout
        scores = self.network.scores(pooled)
        d_scores = self.loss.gradient(scores, batch.targets, batch.weights)
        d_pooled = self.network.scores_backward(pooled, d_scores, self.gradient)
        if masks.readout is not None:
            d_pooled *= masks.readout
        losses = self.loss.value(scores, batch.targets, batch.weights)
        return d_pooled, losses, batch.weights.sum(dtype=np.float64)
