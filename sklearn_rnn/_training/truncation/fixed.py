"""Fixed truncation, BPTT(h; h') (Williams & Peng 1990).

At steps h', 2h', … and at the end, the losses of the last h' steps flow back through the last h steps. h is
``truncation``, h' is ``truncation_stride``.
"""

from __future__ import annotations

import numpy as np

from sklearn_rnn._training.truncation.policy import Truncation, Window, Windows
from sklearn_rnn._utils.plain import Optional, Value, Whole, plain_form


def cut_windows(n_steps: int, truncation: int | None = None, stride: int | None = None) -> list[Window]:
    """Cut a sequence into windows.

    Parameters
    ----------
    n_steps : int
    truncation : int or None
        h, the number of steps through which an error flows back; None for all.
    stride : int or None
        h', the number of steps between updates; None for h.

    Returns
    -------
    list of Window

    Examples
    --------
    >>> cut_windows(10, truncation=4, stride=2)[-2:]
    [Window(start=4, loss_start=6, stop=8), Window(start=6, loss_start=8, stop=10)]
    """
    if truncation is None or truncation >= n_steps:
        return [Window(0, 0, n_steps)]
    stride = truncation if stride is None else stride
    stops = [*range(stride, n_steps, stride), n_steps]
    return [Window(max(0, stop - truncation), loss_start, stop) for loss_start, stop in zip([0, *stops[:-1]], stops)]


@plain_form("fixed", length=Optional(Whole(1)), stride=Optional(Whole(1)), settings=Value())
class FixedTruncation(Truncation):
    """BPTT(h; h').

    Parameters
    ----------
    length : int or None
        h; None for full backpropagation.
    stride : int or None
        h'; None for h.
    """

    def __init__(self, length: int | None = None, stride: int | None = None) -> None:
        self.length, self.stride = length, stride
        self.settings = (length, stride)

    def draw(self, n_steps: int, random_state: np.random.RandomState | None) -> Windows:
        """Return the windows of a batch whose longest sequence has ``n_steps``; nothing is random."""
        windows = cut_windows(n_steps, self.length, self.stride)
        return Windows(windows, self.length if len(windows) > 1 else None)
