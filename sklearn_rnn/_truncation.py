"""Truncated backpropagation through time, BPTT(h; h'): which losses flow back through which steps.

Williams & Peng 1990: at steps h', 2h', … and at the end, the losses of the last h' steps flow back through
the last h steps. h is ``truncation``, h' is ``truncation_stride``. Steps are counted from the start of the sequences
of a batch, which share their windows: in the last window that it has steps in, a shorter sequence may have fewer
than h of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """Steps ``start`` to ``stop - 1``; the losses from ``loss_start`` on flow back through them.

    Every step's loss belongs to exactly one window: its predecessor ends at ``loss_start``.
    """

    start: int
    loss_start: int
    stop: int


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
