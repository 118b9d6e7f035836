"""The two directions of each layer, side by side in two threads where a batch is a single block."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn import RNNRegressor
from sklearn_rnn._network.blocks import SMALLEST_TRAINING, splits_directions
from sklearn_rnn._network.layers import LayerPasses

N_SEQUENCES, N_UNITS = 20, 64
SETTINGS = {"hidden_layer_sizes": N_UNITS, "patch_size": 1, "bidirectional": True, "max_iter": 2}
SETTINGS |= {"n_iter_no_change": np.inf, "random_state": 0}


def data(lengths):
    generator = np.random.default_rng(0)
    X = [generator.normal(size=(n, 3)) for n in lengths]
    return X, np.array([x[:, 0].sum() for x in X])


RAGGED, EQUAL = np.arange(20, 20 + N_SEQUENCES), np.full(N_SEQUENCES, 30)


@pytest.mark.parametrize("lengths", [RAGGED, EQUAL], ids=["ragged", "equal"])
@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm"},
        {"cell": "rnn", "hidden_layer_sizes": (N_UNITS, N_UNITS), "dropout": 0.2, "readout": "mean"},
        {"cell": "gru", "hidden_layer_sizes": (N_UNITS, N_UNITS), "readout": "each"},
    ],
    ids=lambda settings: settings["cell"],
)
def test_fits_have_the_same_bits_with_directions_side_by_side(monkeypatch, settings, lengths):
    X, y = data(lengths)
    if settings.get("readout") == "each":
        y = [x[:, 0] for x in X]
    settings = SETTINGS | settings
    one = RNNRegressor(**settings, n_jobs=1).fit(X, y)
    assert splits_directions(one._model.network, int(lengths.sum()))
    handled = let_directions_meet(monkeypatch)
    two = RNNRegressor(**settings, n_jobs=2).fit(X, y)
    assert handled == {"ignore"}  # NumPy's warnings of an overflow, in both threads
    for name, weights in one.weights_.items():
        assert_array_equal(two.weights_[name], weights, err_msg=name)


def let_directions_meet(monkeypatch):
    """Let each direction of a backward pass wait for the other; return what is done with an overflow meanwhile."""
    both, handled, run_back = threading.Barrier(2, timeout=60), set(), LayerPasses._run_back

    def wait_and_run_back(*arguments, **options):
        both.wait()
        handled.add(np.geterr()["over"])
        return run_back(*arguments, **options)

    monkeypatch.setattr(LayerPasses, "_run_back", wait_and_run_back)
    return handled


def test_small_batches_and_one_direction_stay_in_one_thread():
    X, y = data(EQUAL)
    two_directions, one = (
        RNNRegressor(**SETTINGS | {"bidirectional": b}).fit(X, y)._model.network for b in (True, False)
    )
    n_rows = -(-2 * SMALLEST_TRAINING // (3 * two_directions.work_per_row))
    assert splits_directions(two_directions, n_rows)
    assert not splits_directions(two_directions, n_rows - 1)
    assert not splits_directions(one, 10 * n_rows)


def test_an_interrupt_waits_for_the_other_direction_and_keeps_the_last_update(monkeypatch):
    X, y = data(EQUAL)
    settings = SETTINGS | {"learning_rate": "constant"}
    expected = RNNRegressor(**settings).fit(X, y)  # two epochs, of one update each
    run_back, calls, done = LayerPasses._run_back, [], threading.Event()

    def interrupted(self, *arguments, **options):
        calls.append(threading.current_thread())
        if len(calls) <= 4:
            return run_back(self, *arguments, **options)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        result = run_back(self, *arguments, **options)
        done.set()
        return result

    monkeypatch.setattr(LayerPasses, "_run_back", interrupted)
    with pytest.warns(match="interrupted by user"):
        stopped = RNNRegressor(**settings | {"max_iter": 9, "n_jobs": 2}).fit(X, y)
    assert stopped.n_iter_ == 2
    assert done.is_set() or len(calls) == 5  # the other direction has ended, or has not begun
    for name, weights in expected.weights_.items():
        assert_array_equal(stopped.weights_[name], weights, err_msg=name)
