from itertools import pairwise

import numpy as np
import pytest
from helpers import numerical_gradient
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.readouts import READOUTS, LastPool, MaxPool, MeanPool

LENGTHS = np.array([6, 4, 3, 3, 1])
PACKING = Packing(LENGTHS)
N_UNITS = 3

each_pool = pytest.mark.parametrize("readout", [name for name, pool in READOUTS.items() if pool is not None])


def draw_hidden(dtype=np.float64):
    return np.random.default_rng(0).normal(size=(PACKING.n_rows, N_UNITS)).astype(dtype)


def by_sequence(rows):
    """The rows of each sequence, in the order of time."""
    return [rows[PACKING.sequence_of_row == i] for i in range(len(LENGTHS))]


def final_hidden(hidden):
    return np.array([h[-1] for h in by_sequence(hidden)])


def pool_windows(readout, hidden, cuts=()):
    """A pool after ``hidden`` was added in windows with borders at ``cuts``; its windows."""
    pool = READOUTS[readout](LENGTHS, hidden.shape[1], hidden.dtype)
    bounds = [0, *cuts, PACKING.n_steps]
    windows = list(pairwise(bounds))
    for start, stop in windows:
        pool.add(hidden[PACKING.rows_of_steps(start, stop)], PACKING.window(start, stop), start)
    return pool, windows


def d_hidden_of(readout, hidden, d_pooled, cuts=()):
    """Error of every row, with the error that arrives through the final states."""
    pool, windows = pool_windows(readout, hidden, cuts)
    pool.finish(final_hidden(hidden))
    parts = [pool.d_hidden(d_pooled, PACKING.window(start, stop), start, Buffers()) for start, stop in windows]
    d_hidden = np.zeros_like(hidden) if parts[0] is None else np.concatenate(parts)
    d_final = pool.d_final_hidden(d_pooled, 0, max(LENGTHS))
    is_last = PACKING.step_of_row == LENGTHS[PACKING.sequence_of_row] - 1
    return d_hidden + d_final[PACKING.sequence_of_row] * is_last[:, None]


@pytest.mark.parametrize(
    ("readout", "pooled"),
    [
        ("last", lambda h: h[-1]),
        ("mean", lambda h: h.mean(axis=0)),
        ("max", lambda h: h.max(axis=0)),
    ],
)
@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 5)], ids=str)
def test_pools_see_each_sequences_own_steps_in_any_windows(readout, pooled, cuts):
    hidden = draw_hidden() - 5  # the maximum is negative: zeros of a padding would be larger
    expected = [pooled(h) for h in by_sequence(hidden)]
    pool, _ = pool_windows(readout, hidden, cuts)
    assert_allclose(pool.finish(final_hidden(hidden)), expected, rtol=1e-14, atol=0)


@each_pool
@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 5)], ids=str)
def test_errors_of_the_rows_are_finite_differences(readout, cuts):
    hidden = draw_hidden()
    d_pooled = np.random.default_rng(1).normal(size=(len(LENGTHS), N_UNITS))

    def value():
        pool, _ = pool_windows(readout, hidden)
        return (pool.finish(final_hidden(hidden)) * d_pooled).sum()

    expected = numerical_gradient(value, hidden)
    assert_allclose(d_hidden_of(readout, hidden, d_pooled, cuts), expected, rtol=0, atol=1e-8)


def test_of_equal_maxima_the_first_gets_the_error():
    hidden = np.ones((PACKING.n_rows, 1))
    d_hidden = d_hidden_of("max", hidden, np.full((len(LENGTHS), 1), 7.0), cuts=(2,))
    assert_array_equal(d_hidden[:, 0], np.where(PACKING.step_of_row == 0, 7.0, 0.0))


@each_pool
@pytest.mark.parametrize("n_steps", [1, 2])
def test_nan_that_a_state_is_from_some_step_on_stays_visible(readout, n_steps):
    hidden = draw_hidden()
    place = 2
    is_nan = (PACKING.sequence_of_row == place) & (PACKING.step_of_row >= LENGTHS[place] - n_steps)
    hidden[is_nan, 1] = np.nan
    pool, _ = pool_windows(readout, hidden, cuts=(1,))
    found = np.argwhere(np.isnan(pool.finish(final_hidden(hidden))))
    assert found.tolist() == [[place, 1]]


def test_nan_of_a_single_step_stays_visible_in_the_maximum():
    hidden = draw_hidden()
    hidden[PACKING.offsets[1] + 2, 1] = np.nan  # step 1 of sequence 2, which has 3
    pool, _ = pool_windows("max", hidden)
    assert np.argwhere(np.isnan(pool.finish(final_hidden(hidden)))).tolist() == [[2, 1]]


def test_the_last_state_gets_its_error_by_the_network_state_alone():
    pool = LastPool(LENGTHS, N_UNITS, np.float64)
    d_pooled = np.ones((len(LENGTHS), N_UNITS))
    assert pool.d_hidden(d_pooled, PACKING, 0, Buffers()) is None
    assert_array_equal(pool.d_final_hidden(d_pooled, 0, max(LENGTHS)), d_pooled)


@pytest.mark.parametrize("pool", [MeanPool, MaxPool])
def test_other_pools_send_no_error_by_the_final_state(pool):
    d_pooled = np.ones((len(LENGTHS), N_UNITS))
    d_final = pool(LENGTHS, N_UNITS, np.float64).d_final_hidden(d_pooled, 0, max(LENGTHS))
    assert_array_equal(d_final, np.zeros_like(d_pooled))


@each_pool
def test_float32_stays_float32(readout):
    hidden = draw_hidden(np.float32)
    pool, _ = pool_windows(readout, hidden)
    pooled = pool.finish(final_hidden(hidden))
    assert pooled.dtype == np.float32
    assert d_hidden_of(readout, hidden, pooled).dtype == np.float32
