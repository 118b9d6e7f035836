"""``memory_budget``: reading it, the estimate that it is chosen by, and the error for one that is too small."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def in_bytes(memory_budget: Any) -> Any:
    """Read ``memory_budget``: None, a number of bytes, or a text such as "64MB".

    Raises
    ------
    ValueError
        For anything else, for less than a byte, and for more than the largest float.
    """
    if memory_budget is None or (isinstance(memory_budget, Integral) and memory_budget is not True):
        return memory_budget
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", str(memory_budget))
    n_bytes = float(match[1]) * UNITS.get(match[2], 0) if match else 0
    if not 1 <= n_bytes < np.inf:
        raise ValueError(
            f"memory_budget={memory_budget!r} is not a number with one of the units {', '.join(UNITS)}: write, for "
            "instance, '64MB'."
        )
    return int(n_bytes)


class MemoryEstimate(NamedTuple):
    """Activation memory of the backward pass, for a batch of the longest sequences.

    Attributes
    ----------
    full : int
        Bytes without a budget: the tapes of all steps of the longest window, and the backward pass's own arrays.
    planned : int
        Bytes with the current ``memory_budget``.
    smallest : int
        The smallest ``memory_budget`` that works, in bytes.
    n_forward_passes : float
        Number of times that the batch is run forward: 1 if all tapes fit and windows do not overlap; up to 2 if the
        tapes of segments are computed again once; more if the states at the starts of segments do not all fit either.
        One more for the means and maxima that are cut into windows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor
    >>> X = np.zeros((16, 2000, 3))
    >>> estimate = RNNRegressor((32,), memory_budget="20MB", patch_size=1).memory_estimate(X)
    >>> estimate.smallest < estimate.planned <= 2 * 10**7 < estimate.full
    True
    """

    full: int
    planned: int
    smallest: int
    n_forward_passes: float


class OverBudget(Exception):
    """The budget of a block is too small; the argument is the smallest that works, in bytes."""


def over_budget(budget: int, smallest: int) -> ValueError:
    """Return the error for a budget that is too small for a batch."""
    return ValueError(
        f"memory_budget={budget} bytes is too little: the backward pass takes a segment of steps at a time, and the "
        f"segments of a batch need {smallest} bytes at the least. Raise memory_budget to that, better to some more: "
        "a smaller budget recomputes more steps. Or set a smaller batch_size."
    )
