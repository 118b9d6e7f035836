"""Truncated backpropagation through time: which losses flow back through which steps.

BPTT(h; h'), Williams & Peng 1990: at steps h', 2h', … and at the end, the losses of the last h' steps flow back through
the last h steps. h is ``truncation``, h' is ``truncation_stride``. Steps are counted from the start of the sequences
of a batch, which share their windows: in the last window that it has steps in, a shorter sequence may have fewer
than h of them.

Unbiased truncation (Tallec & Ollivier 2017, "anticipated reweighted truncated backpropagation"): windows end at random,
and an error that gets from a step to the one before it is multiplied by 1 over the probability that it would.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# Steps of a window of unbiased truncation in the mean, where truncation_stride does not tell.
MEAN_WINDOW = 32


class Window(NamedTuple):
    """Steps ``start`` to ``stop - 1``; the losses from ``loss_start`` on flow back through them.

    Every step's loss belongs to exactly one window: its predecessor ends at ``loss_start``.
    """

    start: int
    loss_start: int
    stop: int


class Truncation(NamedTuple):
    """How the errors of a batch flow back.

    Attributes
    ----------
    windows : list of Window
    tail : int or None
        For readout "last": steps of each sequence's own end that its error flows back through; None for those of
        the window that it ends in.
    gains : mapping of int to float
        By steps inside of windows: what an error is multiplied by on its way from that step to the one before.
    mean_length : int or None
        Steps that windows have in the mean, where updates are to be divided by these rather than by their own: else
        the losses of long windows would weigh less.
    """

    windows: list
    tail: int | None = None
    gains: Mapping = MappingProxyType({})
    mean_length: int | None = None

    def amplified_steps(self, start, stop):
        """Steps inside of a window that have a gain."""
        return [step for step in range(start + 1, stop) if step in self.gains] if self.gains else []


def windows(n_steps, truncation=None, stride=None):
    """Cut a sequence into windows.

    Parameters
    ----------
    n_steps : int
    truncation : int or None
        h, the steps that an error flows back through; None for all.
    stride : int or None
        h', the steps between updates; None for h.

    Returns
    -------
    list of Window

    Examples
    --------
    >>> windows(10, truncation=4, stride=2)[-2:]
    [Window(start=4, loss_start=6, stop=8), Window(start=6, loss_start=8, stop=10)]
    """
    if truncation is None or truncation >= n_steps:
        return [Window(0, 0, n_steps)]
    stride = truncation if stride is None else stride
    stops = [*range(stride, n_steps, stride), n_steps]
    return [Window(max(0, stop - truncation), loss_start, stop) for loss_start, stop in zip([0, *stops[:-1]], stops)]


class BaseTruncation:
    """How the batches of a training are truncated.

    Attributes
    ----------
    length : int or None
        Steps of a window, or their mean; None for all.
    is_certain : bool
        Whether windows are the same in every epoch.
    settings : tuple
        As the estimator was told.
    """

    length: int | None
    is_certain: bool = False
    settings: tuple

    def adapt(self, network, loss, dataset, random_state):
        """Look at the network before an epoch: there is nothing to choose."""

    def draw(self, n_steps, random_state):
        """Return the Truncation of a batch whose longest sequence has ``n_steps``."""
        raise NotImplementedError


class FixedTruncation(BaseTruncation):
    """BPTT(h; h').

    Parameters
    ----------
    length : int or None
        h; None for full backpropagation.
    stride : int or None
        h'; None for h.
    """

    is_certain = True

    def __init__(self, length=None, stride=None):
        self.length, self.stride = length, stride
        self.settings = (length, stride)

    def draw(self, n_steps, random_state):
        """Return the Truncation of a batch whose longest sequence has ``n_steps``."""
        plan = windows(n_steps, self.length, self.stride)
        return Truncation(plan, self.length if len(plan) > 1 else None)


class UnbiasedTruncation(BaseTruncation):
    """Windows of random lengths, whose gradients have the full gradient for their mean.

    The probability that a window ends at its step d falls as 3 q / (2 m + d), with m the mean length and d a multiple
    of q: the paper's (alpha - 1) / ((alpha - 2) L_0 + d) with alpha = 4 and L_0 = m, at every q-th step. Lengths then
    follow a power law of mean m, and gains grow with a power of the distance rather than exponentially.

    Parameters
    ----------
    length : int
        m, the mean number of steps of a window, at least 2.
    """

    length: int

    def __init__(self, length):
        self.length = length
        self.settings = ("unbiased", length)
        self._q = max(1, length // 4)  # a few places to end at: each costs a passage from segment to segment

    def draw(self, n_steps, random_state):
        """Draw the Truncation of a batch whose longest sequence has ``n_steps``."""
        places = range(self._q, n_steps, self._q)
        plan, gains, start = [], {}, 0
        for step, chance in zip(places, random_state.uniform(size=len(places))):
            probability = 3 * self._q / (2 * self.length + step - start)
            if chance < probability:
                plan.append(Window(start, start, step))
                start = step
            else:
                gains[step] = 1 / (1 - probability)
        return Truncation([*plan, Window(start, start, n_steps)], None, gains, min(self.length, n_steps))
