"""Unbiased truncation (Tallec & Ollivier 2017, "anticipated reweighted truncated backpropagation").

Windows end at random steps. An error passes from a step to the step before with some probability. If it passes, it is
multiplied by 1 over this probability. The mean of the gradients over the draws is then the full gradient.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sklearn_rnn._data.batches import PackedBatch
from sklearn_rnn._training.truncation.policy import Truncation, Window, Windows
from sklearn_rnn._utils.plain import Value, Whole, plain_form

# Mean number of steps of a window, unless truncation_stride is set.
MEAN_WINDOW = 32


class UnbiasedWindows(Windows):
    """Windows that end at random steps.

    Parameters
    ----------
    windows : list of Window
    gains : dict of int to float
        For steps inside of windows: the factor for an error that passes from this step to the step before.
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
            # The other rows belong to sequences that have ended: their errors did not pass this step.
            for d_direction in d_state:
                d_direction[:, :n_sequences] *= d_direction.dtype.type(gain)

    def shared_divisor(self, batches: Iterable[PackedBatch]) -> float:
        """Return the mean weight of a window. Divided by its own weight, a long window's losses would count less."""
        return sum(float(batch.weights.sum()) for batch in batches) * self.mean_length / self._n_steps


@plain_form("unbiased", length=Whole(2), settings=Value(), _q=Whole(1))
class UnbiasedTruncation(Truncation):
    """Windows of random lengths; the mean of their gradients is the full gradient.

    A window ends at its step d, a multiple of q, with probability 3 q / (2 m + d); m is the mean length. This is the
    paper's (alpha - 1) / ((alpha - 2) L_0 + d) with alpha = 4 and L_0 = m, at every q-th step. Lengths then follow a
    power law of mean m. Gains grow with a power of the distance, and not exponentially.

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
        self._q = max(1, length // 4)  # few possible ends: each costs a border between segments

    def draw(self, n_steps: int, random_state: np.random.RandomState | None) -> UnbiasedWindows:
        """Draw the windows of a batch whose longest sequence has ``n_steps``."""
        assert random_state is not None
        ends = range(self._q, n_steps, self._q)
        windows, gains, start = [], {}, 0
        for step, chance in zip(ends, random_state.uniform(size=len(ends))):
            probability = 3 * self._q / (2 * self.length + step - start)
            if chance < probability:
                windows.append(Window(start, start, step))
                start = step
            else:
                gains[step] = 1 / (1 - probability)
        windows.append(Window(start, start, n_steps))
        return UnbiasedWindows(windows, gains, min(self.length, n_steps))
