"""The matrix products of a recurrent layer: their operations, and how many NumPy does in a second."""

from __future__ import annotations

import time

import numpy as np
from _measure import processors, run_fresh

CELLS = {"rnn": 1, "lstm": 4, "gru": 3}  # number of gates of each


def operations_of_step(cell, n_features, n_units, is_training):
    """Return the multiplications and additions of one step of one sequence, forward, or forward and backward."""
    n_inputs = n_features + n_units
    per_column = 2 * n_inputs + n_units if is_training else n_inputs
    return 2 * CELLS[cell] * n_units * per_column


def peak_of_products(dtype, n_threads):
    """Return the best GFLOP/s of NumPy's product of two matrices of 2048 x 2048."""
    from threadpoolctl import threadpool_limits

    n, times = 2048, []
    a, b, c = (np.ones((n, n), dtype) for _ in range(3))
    with threadpool_limits(n_threads, user_api="blas"):
        for _ in range(6):
            start = time.perf_counter()
            np.matmul(a, b, out=c)
            times.append(time.perf_counter() - start)
    return 2e-9 * n**3 / min(times)


def seconds_of_products(n_steps, cell, n_features, n_units):
    """Return the seconds that the products of training on so many steps take in float32, on all processors."""
    n_processors = len(processors())
    peak = run_fresh(peak_of_products, "float32", n_processors, n_processors=n_processors)
    return 1e-9 * n_steps * operations_of_step(cell, n_features, n_units, is_training=True) / peak
