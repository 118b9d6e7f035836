"""Adaptive truncation: the length is chosen from the decay of the gradient over the lags.

Aicher, Foti & Fox 2019, "Adaptively truncating backpropagation through time to control gradient bias": truncation to h
steps drops the parts of the lags from h on. The dropped gradient is at most the sum of their norms. Beyond the traced
lags, a geometric series bounds it. The chosen h is the smallest one whose bound, relative to the gradient, is within a
tolerance.

There are two differences. The paper bounds the part of a step by the norm of dL/dh_t times a constant; here the part is
measured. In the paper, every loss flows back through h steps; here the losses of a window flow back through h - h' + 1
to h steps, and the bound is the mean over these numbers of steps.
"""

from __future__ import annotations

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.gradient_trace import trace
from sklearn_rnn._training.losses import Loss
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._utils.plain import Number, Optional, Value, Whole, plain_form

EPOCHS_BETWEEN = 10  # epochs between two choices: the network changes little
N_LOSSES = 32  # losses that are traced for a choice
FEWEST_LAGS = 64  # lags that are traced for the first choice
# Smallest length. With a loss at each step, shorter windows mean many updates: they take up to 70 times as long as full
# BPTT.
SHORTEST = 8


@plain_form(
    "adaptive",
    length=Optional(Whole(1)),
    stride=Optional(Whole(1)),
    settings=Value(),
    _tolerance=Number(0, 1),
    _largest_stride=Optional(Whole(1)),
    _n_epochs=Whole(),
    _cap=Number(0),
)
class AdaptiveTruncation(FixedTruncation):
    """BPTT(h; h') whose h is chosen before the first epoch, and again after every ``EPOCHS_BETWEEN`` epochs.

    It is chosen sooner if h was limited by the longest sequence and a longer sequence comes: chunks of a stream may
    grow. Sequences without weight do not count.

    Parameters
    ----------
    tolerance : float
        Largest allowed relative bias of the gradient, in (0, 1).
    stride : int or None
        Largest h'; None for h.

    Attributes
    ----------
    length : int or None
        h; None before the first epoch.
    """

    has_fixed_length = has_fixed_windows = False

    def __init__(self, tolerance: float, stride: int | None = None) -> None:
        super().__init__(None, None)
        self.settings: tuple = ("auto", tolerance, stride)
        self._tolerance, self._largest_stride = tolerance, stride
        self._n_epochs = 0
        self._cap = np.inf  # the longest sequence's number of steps, if it limited h

    def adapt(
        self, network: RecurrentNetwork, loss: Loss, dataset: Dataset, random_state: np.random.RandomState
    ) -> None:
        """Choose h for the current network, from some losses that are drawn at random."""
        counting = dataset.weighted_sequences()
        longest = int(dataset.sequences.lengths[counting].max(initial=0))
        if self._n_epochs % EPOCHS_BETWEEN == 0 or longest > self._cap:
            self._choose(network, loss, dataset, longest, random_state)
        self._n_epochs += 1

    def _choose(
        self,
        network: RecurrentNetwork,
        loss: Loss,
        dataset: Dataset,
        longest: int,
        random_state: np.random.RandomState,
    ) -> None:
        """Choose h for sequences of up to ``longest`` steps; ``longest`` is 0 if no sequence has any weight."""
        length = self.length
        if longest:
            n_lags = min(longest, max(FEWEST_LAGS, 2 * (self.length or 0)))
            sample = draw_losses(dataset, n_lags, random_state)
            is_last = network.readout == "last"
            traced = trace(network, loss, sample, n_lags, readout="last")
            stride = 1 if is_last else self._largest_stride
            sufficient = smallest_length(traced.own_norms, traced.kept_norms, self._tolerance, longest, stride)
            length = max(sufficient, min(SHORTEST, longest))
        elif length is None:  # no loss to trace: all steps
            length = int(dataset.sequences.lengths.max())
        stride = None if self._largest_stride is None else min(self._largest_stride, length)
        # One statement without a call: after Ctrl-C, all three are old or all three are new.
        self.length, self.stride, self._cap = length, stride, longest if longest <= length else np.inf


def draw_losses(dataset: Dataset, n_lags: int, random_state: np.random.RandomState) -> Dataset:
    """Draw losses of positive weight: of any steps with ``per_step``, otherwise of the ends of sequences.

    Parameters
    ----------
    dataset : Dataset
        At least one weight is above 0.
    n_lags : int
    random_state : RandomState

    Returns
    -------
    Dataset
        ``N_LOSSES`` sequences of up to 2 ``n_lags`` steps. In the first steps the state settles. Each sequence has the
        target and weight of its last step or, without ``per_step``, those of the whole sequence.
    """
    sequences = dataset.sequences
    counting = dataset.weighted_sequences()
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


def _draw_end(weights: np.ndarray, n_lags: int, random_state: np.random.RandomState) -> int:
    """Draw a loss with a weight, with ``n_lags`` steps up to it if possible; return the number of steps up to it."""
    ends = 1 + np.flatnonzero(weights)
    far = ends[ends >= n_lags]
    return random_state.choice(far) if len(far) else ends[-1]


def smallest_length(
    own_norms: np.ndarray, kept_norms: np.ndarray, tolerance: float, longest: int, stride: int | None = None
) -> int:
    """Return the smallest h whose bound of the relative bias is within a tolerance.

    Parameters
    ----------
    own_norms : ndarray of shape (n_lags,)
        Norm of each lag's own part of the gradient.
    kept_norms : ndarray of shape (n_lags + 1,)
        Norm of the sum of the parts of the lags before h, for h = 0, 1, …, n_lags.
    tolerance : float
    longest : int
        Largest h. If it is more than n_lags, the other lags are assumed to decay like the second half of the lags.
    stride : int or None
        Largest h'; None for h. Losses flow back through h - h' + 1 to h steps.

    Returns
    -------
    int
        From 1 to ``longest``.
    """
    dropped = _dropped_bounds(own_norms, longest)
    traced = dropped[: len(kept_norms)]
    is_known = np.isfinite(kept_norms) & np.isfinite(traced)
    # A lower bound of the full gradient's norm: the kept gradient's norm, less the bound of the dropped gradient's.
    full_norm = (kept_norms[is_known] - traced[is_known]).max(initial=0)
    h = np.arange(1, longest + 1)
    h_stride = h if stride is None else np.minimum(h, stride)
    # Summed from the large lags, whose bounds are small: differences keep their digits. Infinite sums come first.
    sums = np.append(_sums_from(dropped), 0)
    first = sums[h + 1 - h_stride]
    window_sums = np.subtract(first, sums[h + 1], out=np.full(longest, np.inf), where=np.isfinite(first))
    is_enough = window_sums / h_stride <= tolerance * full_norm
    is_enough[-1] = True  # nothing is dropped
    return 1 + int(is_enough.argmax())


def _dropped_bounds(own_norms: np.ndarray, longest: int) -> np.ndarray:
    """Bound of the norm of the parts of all lags from h on, for h = 0, 1, …, ``longest``."""
    n_lags = len(own_norms)
    if longest > n_lags:
        decay = _decay(own_norms[n_lags // 2 :])
        beyond = np.full(longest - n_lags, np.inf)
        if decay < 1:
            beyond = own_norms[-1] * decay ** np.arange(1, longest - n_lags + 1)
        own_norms = np.concatenate([own_norms, beyond])
    return np.append(_sums_from(np.where(np.isnan(own_norms), np.inf, own_norms)), 0)


def _sums_from(values: np.ndarray) -> np.ndarray:
    """Sum of the values from each place on."""
    return np.cumsum(values[::-1])[::-1]


def _decay(norms: np.ndarray) -> float:
    """Factor per lag, from a straight line through the logarithms; 0 if the last norm is 0."""
    if norms[-1] == 0:
        return 0.0
    is_usual = np.isfinite(norms).all() and norms.all() and len(norms) > 1
    return float(np.exp(np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0])) if is_usual else 1.0
