"""Unbiased truncation (Tallec & Ollivier 2017, "anticipated reweighted truncated backpropagation").

Windows end at random. An error that passes from a step to the one before it is multiplied by 1 over the probability
that it passes: so the mean of the gradients over the draws is the full gradient.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sklearn_rnn._data.packing import PackedBatch
from sklearn_rnn._training.truncation.policy import Truncation, Window, Windows

# Mean number of steps of a window, unless truncation_stride is set.
MEAN_WINDOW = 32


class UnbiasedWindows(Windows):
    """Windows that ended at random.

    Parameters
    ----------
    windows : list of Window
    gains : dict of int to float
        By steps inside of windows: the factor for an error on its way from that step to the one before.
    mean_length : int
        Mean number of steps of a window.
    """

    def __init__(self, windows: list[Window], gains: dict[int, float], mean_length: int) -> None:
        super().__init__(windows)
        self.gains, self.mean_length, self._n_steps = gains, mean_length, windows[-1].stop

    def borders(self, start: int, stop: int) -> list[int]:
        """Return the steps inside of a window that have a gain."""
        return [step for step in range(start + 1, stop) if step in self.gains]

    def pass_border(self, d_state: list[np.ndarray], step: int, n_sequences: int) -> None:
        """Multiply an error by the gain of a step, if it has one."""
        gain = self.gains.get(step)
        if gain is not None:
            # The rows of sequences that are over hold the errors of their own last steps, which did not pass here.
            for d_direction in d_state:
                d_direction[:, :n_sequences] *= d_direction.dtype.type(gain)

    def shared_divisor(self, batches: Iterable[PackedBatch]) -> float:
        """Return the mean weight of a window: divided by its own weight, the losses of a long one would count less."""
        return sum(float(batch.weights.sum()) for batch in batches) * self.mean_length / self._n_steps


class UnbiasedTruncation(Truncation):
    """Windows of random lengths; the mean of their gradients is the full gradient.

    The probability that a window ends at its step d falls as 3 q / (2 m + d), with m the mean length and d a multiple
    of q: the paper's (alpha - 1) / ((alpha - 2) L_0 + d) with alpha = 4 and L_0 = m, at every q-th step. Lengths then
    follow a power law of mean m, and gains grow with a power of the distance rather than exponentially.

    Parameters
    ----------
    length : int
        m, the mean number of steps of a window, at least 2.
    """

    length: int
    has_fixed_windows = False

    def __init__(self, length: int) -> None:
        self.length = length
        self.settings = ("unbiased", length)
        self._q = max(1, length // 4)  # few places to end at: each costs a border between segments

    def draw(self, n_steps: int, random_state: np.random.RandomState | None) -> UnbiasedWindows:
        """Draw the windows of a batch whose longest sequence has ``n_steps``."""
        assert random_state is not None
        places = range(self._q, n_steps, self._q)
        windows, gains, start = [], {}, 0
        for step, chance in zip(places, random_state.uniform(size=len(places))):
            probability = 3 * self._q / (2 * self.length + step - start)
            if chance < probability:
                windows.append(Window(start, start, step))
                start = step
            else:
                gains[step] = 1 / (1 - probability)
        windows.append(Window(start, start, n_steps))
        return UnbiasedWindows(windows, gains, min(self.length, n_steps))
