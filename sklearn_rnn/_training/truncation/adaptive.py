"""Truncation that is chosen from the decay of the gradients themselves.

Aicher, Foti & Fox 2019, "Adaptively truncating backpropagation through time to control gradient bias": what truncation
at h steps leaves out of a gradient is at most the sum of the norms of the parts of the lags from h on; beyond what
was looked at it is a geometric series. The smallest h is taken whose bound, relative to the gradient, is within a
tolerance. They bound the part of a step by the norm of dL/dh_t times a constant; here it is measured. They send every
loss back through h steps; here those of a window have h - h' + 1 to h of them, of which the mean is taken.
"""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.packing import Dataset
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._training.gradient_trace import trace
from sklearn_rnn._training.truncation.fixed import FixedTruncation

# Between two estimates the network changes little; losses that are traced for one; steps traced for the first one.
EPOCHS_BETWEEN = 10
N_LOSSES = 32
FEWEST_LAGS = 64
# Steps of a window at the least: where each step has a loss, shorter ones take longer for their many updates than
# full BPTT takes, up to 70 times as long.
SHORTEST = 8


class AdaptiveTruncation(FixedTruncation):
    """BPTT(h; h') whose h is chosen before the first epoch, and every ``EPOCHS_BETWEEN`` epochs again.

    It is chosen sooner where h has all steps that the sequences had then, and there are longer ones now: chunks of a
    stream may grow. What has no weight does not matter.

    Parameters
    ----------
    tolerance : float
        The relative bias of the gradient that is allowed, in (0, 1).
    stride : int or None
        h' at the most; None for h.

    Attributes
    ----------
    length : int or None
        h; None before the first epoch.
    """

    has_fixed_length = has_fixed_windows = False

    def __init__(self, tolerance, stride=None):
        super().__init__(None, None)
        self.settings = ("auto", tolerance, stride)
        self._tolerance, self._largest_stride = tolerance, stride
        self._n_epochs = 0
        self._cap = np.inf  # steps that h would be more than, if there had been more

    def adapt(self, network, loss, dataset, random_state):
        """Choose h for the network as it is; draws the losses to look at."""
        counting = weighted_sequences(dataset)
        longest = int(dataset.sequences.lengths[counting].max(initial=0))
        if self._n_epochs % EPOCHS_BETWEEN == 0 or longest > self._cap:
            self._choose(network, loss, dataset, longest, random_state)
        self._n_epochs += 1

    def _choose(self, network, loss, dataset, longest, random_state):
        """Choose h for sequences of up to ``longest`` steps; 0 where none has any weight."""
        length = self.length
        if longest:
            n_lags = min(longest, max(FEWEST_LAGS, 2 * (self.length or 0)))
            sample = draw_losses(dataset, n_lags, random_state)
            is_last = network.readout == "last"
            traced = trace(network, loss, sample, n_lags, readout="last")
            stride = 1 if is_last else self._largest_stride
            enough = shortest(traced.own_norms, traced.kept_norms, self._tolerance, longest, stride)
            length = max(enough, min(SHORTEST, longest))
        elif length is None:  # nothing to go by: all steps
            length = int(dataset.sequences.lengths.max())
        stride = None if self._largest_stride is None else min(self._largest_stride, length)
        # Together, without a call between: Ctrl-C leaves the old choice or the new one.
        self.length, self.stride, self._cap = length, stride, longest if longest <= length else np.inf


def weighted_sequences(dataset):
    """Indices of the sequences that have a weight, or a step with one."""
    weights = dataset.weights > 0
    return np.flatnonzero(np.logical_or.reduceat(weights, dataset.sequences.starts) if dataset.per_step else weights)


def draw_losses(dataset, n_lags, random_state):
    """Draw losses of positive weight to trace back: of steps anywhere where each has one, else of sequences' ends.

    Parameters
    ----------
    dataset : Dataset
        With a weight above 0.
    n_lags : int
    random_state : RandomState

    Returns
    -------
    Dataset
        ``N_LOSSES`` sequences of up to 2 ``n_lags`` steps, of which the first ones are for the state to settle; their
        targets and weights are those of their last steps (of the whole sequences, without a target at every step).
    """
    sequences = dataset.sequences
    counting = weighted_sequences(dataset)
    n_losses = N_LOSSES if dataset.per_step else min(N_LOSSES, len(counting))
    chosen = random_state.permutation(np.resize(random_state.permutation(counting), n_losses))
    starts, ends = sequences.starts[chosen], sequences.lengths[chosen]
    if dataset.per_step:
        weights = (dataset.weights[start : start + length] for start, length in zip(starts, ends))
        ends = np.array([_draw_end(of_steps, n_lags, random_state) for of_steps in weights])
    parts = [sequences.load([i]).rows[max(0, end - 2 * n_lags) : end] for i, end in zip(chosen, ends)]
    rows = starts + ends - 1 if dataset.per_step else chosen
    lengths = np.array([len(part) for part in parts])
    return Dataset(Sequences(np.concatenate(parts), lengths, "list"), dataset.targets[rows], dataset.weights[rows])


def _draw_end(weights, n_lags, random_state):
    """Draw the number of steps up to a loss that has a weight, and ``n_lags`` of them before it if there are any."""
    ends = 1 + np.flatnonzero(weights)
    far = ends[ends >= n_lags]
    return random_state.choice(far) if len(far) else ends[-1]


def shortest(own_norms, kept_norms, tolerance, longest, stride=None):
    """Return the smallest h whose relative bias is bounded by a tolerance.

    Parameters
    ----------
    own_norms : ndarray of shape (n_lags,)
        Norm of each lag's own part of the gradient.
    kept_norms : ndarray of shape (n_lags + 1,)
        Norm of the sum of the parts of the lags before h, for h = 0, 1, …, n_lags.
    tolerance : float
    longest : int
        Where h ends; if it is more than n_lags, the lags beyond decay as those of the second half of these do.
    stride : int or None
        h' at the most; None for h. Losses flow back through h - h' + 1 to h steps.

    Returns
    -------
    int
        From 1 to ``longest``.
    """
    left_out = _left_out(own_norms, longest)
    rest = left_out[: len(kept_norms)]
    is_known = np.isfinite(kept_norms) & np.isfinite(rest)
    # The norm of the whole gradient is at least that of what is kept, less what is left out.
    whole = (kept_norms[is_known] - rest[is_known]).max(initial=0)
    h = np.arange(1, longest + 1)
    h_stride = h if stride is None else np.minimum(h, stride)
    # From the far end, which is the small one: differences keep their digits, and what is infinite comes first.
    sums = np.append(_sums_from(left_out), 0)
    first = sums[h + 1 - h_stride]
    window_sums = np.subtract(first, sums[h + 1], out=np.full(longest, np.inf), where=np.isfinite(first))
    is_enough = window_sums / h_stride <= tolerance * whole
    is_enough[-1] = True  # nothing is left out
    return 1 + int(is_enough.argmax())


def _left_out(own_norms, longest):
    """Bound of the norm of all parts of the lags from h on, for h = 0, 1, …, ``longest``."""
    n_lags = len(own_norms)
    if longest > n_lags:
        decay = _decay(own_norms[n_lags // 2 :])
        beyond = np.full(longest - n_lags, np.inf)
        if decay < 1:
            beyond = own_norms[-1] * decay ** np.arange(1, longest - n_lags + 1)
        own_norms = np.concatenate([own_norms, beyond])
    return np.append(_sums_from(np.where(np.isnan(own_norms), np.inf, own_norms)), 0)


def _sums_from(values):
    """Sum of the values from each place on."""
    return np.cumsum(values[::-1])[::-1]


def _decay(norms):
    """Factor per lag, of a straight line through the logarithms; 0 where nothing is left."""
    if norms[-1] == 0:
        return 0.0
    is_usual = np.isfinite(norms).all() and norms.all() and len(norms) > 1
    return float(np.exp(np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0])) if is_usual else 1.0
