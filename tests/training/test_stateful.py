"""Training along streams: the network state continues from call to call, and no other state does."""

import itertools
import pickle
import re
import signal
import sys
from copy import deepcopy

import numpy as np
import pytest
from helpers import make_sequences, plain_classifier, plain_regressor, run_python
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_rnn._training import history
from sklearn_rnn._training.optimizers import Adam

N_STREAMS, N_STEPS, WINDOW = 3, 24, 6

each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


def stream_data(n_steps=N_STEPS, n_streams=N_STREAMS, seed=0, dtype=np.float64):
    """X (n_streams, n_steps, 2); y (n_streams, n_steps): the input 2 steps before, and noise."""
    X = np.random.default_rng(seed).normal(size=(n_streams, n_steps, 2)).astype(dtype)
    return X, np.roll(X[..., 0], 2, axis=1)


def regressor(**settings):
    defaults = {
        "hidden_layer_sizes": (5,),
        "readout": "each",
        "stateful": True,
        "truncation": WINDOW,
        "normalize_y": False,  # otherwise the targets of the first chunk decide on the units
        "random_state": 0,
    }
    return plain_regressor(**defaults | settings)


def chunks(X, y, size=WINDOW):
    """(X, y) in chunks of ``size`` steps."""
    for start in range(0, X.shape[1], size):
        yield X[:, start : start + size], y[:, start : start + size]


def fed(estimator, parts, **more):
    """The estimator after ``partial_fit`` on each part, in order."""
    for X, y in parts:
        estimator.partial_fit(X, y, **more)
    return estimator


def assert_same_weights(one, other):
    for name, weights in one.weights_.items():
        assert_array_equal(other.weights_[name], weights)


def assert_same_state(one, other):
    for states, expected in zip(other._session.carried_state, one._session.carried_state, strict=True):
        assert_array_equal(states, expected)


def weights_differ(one, other):
    return any((one.weights_[name] != other.weights_[name]).any() for name in one.weights_)


# ---- One long call and many short ones ---------------------------------------------------------------


@each_cell
@pytest.mark.parametrize("sizes", [(5,), (4, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [WINDOW, 2 * WINDOW])
def test_chunks_of_whole_windows_give_the_bits_of_one_long_call(cell, sizes, dtype, size):
    X, y = stream_data(dtype=dtype)
    settings = {"cell": cell, "hidden_layer_sizes": sizes}
    whole = regressor(**settings).partial_fit(X, y)
    parts = fed(regressor(**settings), chunks(X, y, size))
    assert_same_weights(whole, parts)
    assert_same_state(whole, parts)


@pytest.mark.parametrize("solver", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_so_with_every_solver_and_many_streams_in_blocks(solver, n_jobs):
    X, y = stream_data(n_steps=120, n_streams=70)
    settings = {"solver": solver, "hidden_layer_sizes": (32,), "truncation": 30, "n_jobs": n_jobs, "batch_size": 8}
    whole = regressor(**settings).partial_fit(X, y)
    assert_same_weights(whole, fed(regressor(**settings), chunks(X, y, 30)))


def test_so_without_compiled_kernels():
    run_python(
        """
        from test_stateful import *
        X, y = stream_data()
        for cell in ("rnn", "lstm", "gru"):
            whole = regressor(cell=cell).partial_fit(X, y)
            assert_same_weights(whole, fed(regressor(cell=cell), chunks(X, y)))
        """,
        kernel="numpy",
    )


def test_classifiers_go_on_too():
    X, y = stream_data()
    # All windows have the same number of each label: the first chunk's shares are those of the whole.
    medians = np.median(y.reshape(N_STREAMS, -1, WINDOW), axis=2)
    labels = np.where(y > np.repeat(medians, WINDOW, axis=1), "up", "down")

    def classifier():
        return plain_classifier((5,), readout="each", stateful=True, truncation=WINDOW, random_state=0)

    whole = classifier().partial_fit(X, labels, classes=["down", "up"])
    parts = fed(classifier(), chunks(X, labels), classes=["down", "up"])
    assert_same_weights(whole, parts)


def test_a_budget_changes_no_bit_of_a_stream():
    X, y = stream_data(n_steps=12_000, n_streams=1)
    settings = {"truncation": None, "hidden_layer_sizes": (16,)}
    parts = list(chunks(X, y, 6000))
    free = fed(regressor(**settings), parts)
    bound = fed(regressor(memory_budget="7MB", **settings), parts)
    assert bound.memory_estimate(X).n_forward_passes > 1
    assert_same_weights(free, bound)
    assert_same_state(free, bound)


def test_without_stateful_every_call_begins_in_zeros():
    X, y = stream_data()
    carried, reset = fed(regressor(), chunks(X, y)), fed(regressor(stateful=False), chunks(X, y))
    assert weights_differ(carried, reset)
    assert reset._session.carried_state is None
    # The state matters from the second call on.
    first = next(chunks(X, y))
    assert_same_weights(regressor().partial_fit(*first), regressor(stateful=False).partial_fit(*first))


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("truncation", [None, 4])
def test_other_readouts_carry_the_state_to_a_chunks_end(readout, truncation):
    X, _ = stream_data()
    estimator = regressor(readout=readout, truncation=truncation, learning_rate_init=1e-30)
    for part, _ in chunks(X, X):
        estimator.partial_fit(part, np.zeros(N_STREAMS))
    (state,) = estimator._session.carried_state
    # If the weights do not change, the state is the same as after the whole sequence.
    assert_array_equal(state[0], estimator.hidden_states(X)[:, -1])


def test_ragged_chunks_each_go_on_from_their_own_ends():
    lengths = [(5, 9, 2), (3, 1, 8)]
    estimator = regressor(truncation=4, learning_rate_init=1e-30)
    parts = [make_sequences(n, seed=i) for i, n in enumerate(lengths)]
    for part in parts:
        estimator.partial_fit(part, [x[:, 0] for x in part])
    joined = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    for i, hidden in enumerate(estimator.hidden_states(joined)):
        assert_array_equal(estimator._session.carried_state[0][0, i], hidden[-1])


# ---- New sequences -----------------------------------------------------------------------------------


@each_cell
def test_new_sequences_begin_in_zeros_and_the_others_continue(cell):
    X, y = stream_data()
    first, second, *_ = chunks(X, y)
    estimator = regressor(cell=cell).partial_fit(*first)
    by_mask, by_rows, by_bools = deepcopy(estimator), deepcopy(estimator), deepcopy(estimator)
    by_mask.partial_fit(*second, new_sequence=[False, True, False])
    by_rows.reset_state(1).partial_fit(*second)
    by_bools.reset_state(np.array([False, True, False])).partial_fit(*second)
    assert_same_weights(by_mask, by_rows)
    assert_same_weights(by_mask, by_bools)
    assert_same_state(by_mask, by_rows)
    assert weights_differ(by_mask, deepcopy(estimator).partial_fit(*second))
    for states, before in zip(
        deepcopy(estimator).reset_state([1])._session.carried_state, estimator._session.carried_state
    ):
        assert not states[:, 1].any()
        assert_array_equal(states[:, [0, 2]], before[:, [0, 2]])


def test_after_a_reset_the_number_of_sequences_may_change():
    X, y = stream_data()
    first, second, *_ = chunks(X, y)
    reset = regressor().partial_fit(*first).reset_state().partial_fit(second[0][:2], second[1][:2])
    masked = (
        regressor().partial_fit(*first).partial_fit(second[0][:2], second[1][:2], new_sequence=np.array([True, True]))
    )
    assert_same_weights(reset, masked)
    assert reset._session.carried_state[0].shape[1] == 2


def test_resetting_nobody_changes_nothing():
    X, y = stream_data()
    estimator = regressor().partial_fit(X, y)
    assert_same_state(estimator, deepcopy(estimator).reset_state([]))
    assert_same_state(estimator, deepcopy(estimator).reset_state(np.zeros(N_STREAMS, bool)))


def test_fit_neither_uses_nor_keeps_the_carried_state():
    X, y = stream_data()
    settings = {"max_iter": 2, "n_iter_no_change": np.inf}
    fresh = regressor(**settings).fit(X, y)
    after_stream = fed(regressor(**settings), chunks(X, y)).fit(X, y)
    assert_same_weights(fresh, after_stream)
    assert after_stream._session.carried_state is None
    assert_same_weights(fresh, regressor(stateful=False, **settings).fit(X, y))
    assert fed(regressor(warm_start=True, **settings), chunks(X, y)).fit(X, y)._session.carried_state is None


# ---- Chunks without weight ---------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["last", "mean", "each"])
@pytest.mark.parametrize("truncation", [None, 4, "auto", "unbiased"])
@pytest.mark.parametrize("weights", [0, np.zeros(N_STREAMS)])
def test_a_chunk_without_weight_moves_the_state_alone(readout, truncation, weights):
    X, y = stream_data()
    first, second, third, _ = [(X, y if readout == "each" else y[:, -1]) for X, y in chunks(X, y)]
    estimator = regressor(readout=readout, truncation=truncation).partial_fit(*first)
    before = deepcopy(estimator)
    estimator.partial_fit(*second, sample_weight=weights)
    assert_same_weights(before, estimator)
    for name, array in vars(before._session.optimizer).items():
        assert_array_equal(getattr(estimator._session.optimizer, name), array)
    hidden = estimator.stream(N_STREAMS)
    hidden.state = hidden.state | {"layer_0.h": before._session.carried_state[0][0]}
    hidden.predict(second[0])
    assert_allclose(estimator._session.carried_state[0][0], hidden.state["layer_0.h"], rtol=1e-12)
    assert np.isnan([estimator.loss_curve_[1], estimator.gradient_norms_[1], estimator.loss_]).all()
    assert estimator.best_loss_ == before.best_loss_ == before.loss_
    assert estimator.n_iter_ == 2
    estimator.partial_fit(*third)
    assert weights_differ(before, estimator)
    assert estimator.best_loss_ == np.nanmin(estimator.loss_curve_)


def test_a_stream_may_begin_without_weight_and_tell_of_it(capsys):
    X, y = stream_data()
    estimator = regressor(verbose=2).partial_fit(X, y, sample_weight=0)
    assert np.isnan(estimator.best_loss_)
    assert estimator.clipped_fraction_ == 0
    assert "loss nan  gradient norm nan  clipped   0%" in capsys.readouterr().out
    assert any(states.any() for states in estimator._session.carried_state)


def test_a_class_weight_may_leave_a_chunk_without_weight():
    X, y = stream_data()
    labels = (y > 0).astype(int)
    classifier = plain_classifier((5,), readout="each", stateful=True, class_weight={0: 1, 1: 0}, random_state=0)
    before = deepcopy(classifier.partial_fit(X, labels, classes=[0, 1]))
    classifier.partial_fit(X, np.ones_like(labels))
    assert_same_weights(before, classifier)
    assert (before._session.carried_state[0] != classifier._session.carried_state[0]).any()
    with pytest.raises(ValueError, match=r"class_weight=.* leaves every sequence with weight 0"):
        classifier.set_params(stateful=False).partial_fit(X, np.ones_like(labels))


def test_elsewhere_some_sequence_needs_weight(running):
    estimator, X, y = running
    message = "sample_weight is zero for every sequence"
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y, sample_weight=0)
    assert_refused(estimator.set_params(stateful=False), message, X, y, sample_weight=0)


def test_a_state_that_is_not_finite_is_not_carried_on():
    X, y = stream_data(dtype=np.float32)
    estimator = regressor(cell="rnn", activation="identity").partial_fit(X, y)
    before = deepcopy(estimator)
    estimator.weights_["layer_0.recurrent"][...] = 1e30
    with pytest.warns(match="learning_rate_init: training stopped"):
        estimator.partial_fit(X, y, sample_weight=0)
    assert_same_state(before, estimator)


# ---- Part of the fitted estimator --------------------------------------------------------------------


@pytest.mark.parametrize("copied", [deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))])
def test_the_state_is_pickled_and_copied(copied):
    X, y = stream_data()
    first, second, third, _ = chunks(X, y)
    estimator = fed(regressor(), [first, second])
    other = copied(estimator)
    assert_same_state(estimator, other)
    estimator.partial_fit(*third)
    other.partial_fit(*third)
    assert_same_weights(estimator, other)
    assert_same_state(estimator, other)


def test_copies_share_no_state():
    X, y = stream_data()
    first, second, *_ = chunks(X, y)
    estimator = regressor().partial_fit(*first)
    other = deepcopy(estimator).partial_fit(*second)
    assert any((a != b).any() for a, b in zip(estimator._session.carried_state, other._session.carried_state))


def test_clone_drops_the_state():
    X, y = stream_data()
    estimator = regressor().partial_fit(X, y)
    assert not hasattr(clone(estimator), "_carried_state")
    assert_same_weights(regressor().partial_fit(X, y), clone(estimator).partial_fit(X, y))


def test_predictions_do_not_move_the_state():
    X, y = stream_data()
    estimator = regressor().partial_fit(X, y)
    before = deepcopy(estimator)
    estimator.predict(X)
    estimator.score(X, y)
    assert_same_state(before, estimator)


def test_a_stream_leaves_a_history_of_bounded_length(monkeypatch):
    monkeypatch.setattr(history, "N_REMEMBERED", 5)
    X, y = stream_data(n_steps=8)
    estimator = fed(regressor(truncation=None), chunks(X, y, 1))
    assert estimator.n_iter_ == 8
    assert len(estimator.loss_curve_) == len(estimator.gradient_norms_) == 5
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.t_ == 8 * N_STREAMS
    losses = [regressor(truncation=None).partial_fit(*next(chunks(X, y, 1))).loss_, *estimator.loss_curve_]
    assert estimator.best_loss_ <= min(losses)


# ---- Bad input ---------------------------------------------------------------------------------------


def assert_refused(estimator, message, *arguments, **keywords):
    """``partial_fit`` raises, and no byte of the estimator changes."""
    before = pickle.dumps(estimator)
    with pytest.raises(ValueError, match=message):
        estimator.partial_fit(*arguments, **keywords)
    assert pickle.dumps(estimator) == before


@pytest.fixture
def running():
    """A stream that has begun, and its next chunk."""
    X, y = stream_data()
    first, second, *_ = chunks(X, y)
    return regressor().partial_fit(*first), *second


def test_other_numbers_of_rows_are_refused(running):
    estimator, X, y = running
    message = "X has 2 sequences, but the previous chunk had 3, .* call reset_state"
    assert_refused(estimator, message, X[:2], y[:2])
    assert_refused(estimator, message, X[:2], y[:2], new_sequence=[True, False])


def test_other_numbers_of_features_are_refused(running):
    estimator, X, y = running
    assert_refused(estimator, "X has 1 features per step, but RNNRegressor is expecting 2", X[..., :1], y)


def test_empty_chunks_are_refused(running):
    estimator, X, y = running
    assert_refused(estimator, "0 steps", X[:, :0], y[:, :0])
    assert_refused(estimator, re.escape("X[1] has no steps"), [X[0], X[1, :0], X[2]], [y[0], y[1, :0], y[2]])
    assert_refused(estimator, "0 sample|minimum of 1", X[:0], y[:0])


def test_nan_in_the_middle_of_a_stream_is_refused_before_the_state_moves(running):
    estimator, X, y = running
    X_with_nan, y_with_infinity = X.copy(), y.copy()
    X_with_nan[1, 3, 0], y_with_infinity[2, 1] = np.nan, np.inf
    assert_refused(estimator, "X contains NaN in sequence 1, step 3, feature 0", X_with_nan, y)
    assert_refused(estimator, "contains infinity", X, y_with_infinity)


@pytest.mark.parametrize(
    "mask", [[True], [True, False, True, False], [1, 0, 1], np.ones((3, 1), bool), True, "yes", [True, False, None]]
)
def test_masks_of_another_form_are_refused(running, mask):
    estimator, X, y = running
    assert_refused(estimator, "new_sequence has shape .* pass one boolean for each", X, y, new_sequence=mask)


def test_masks_of_different_lengths_are_refused_by_name(running):
    estimator, X, y = running
    assert_refused(estimator, "^new_sequence ", X, y, new_sequence=[[True], [True, False]])


def test_a_mask_needs_stateful(running):
    _, X, y = running
    estimator = regressor(stateful=False).partial_fit(X, y)
    assert_refused(estimator, "new_sequence was given, but stateful=False", X, y, new_sequence=[True, False, False])


@pytest.mark.parametrize("rows", [3, -4, [0, 5], [True, False], np.ones((3, 1), bool), [0.5], "all", [[0]]])
def test_rows_that_are_not_there_are_not_reset(running, rows):
    estimator, _, _ = running
    before = pickle.dumps(estimator)
    with pytest.raises((TypeError, ValueError), match=r"rows (contains|is a mask of|must be indices)"):
        estimator.reset_state(rows)
    assert pickle.dumps(estimator) == before


@pytest.mark.parametrize("rows", ["a", [0.5], [[0]], None])
def test_what_rows_are_is_checked_without_a_state_too(running, rows):
    estimator = running[0].reset_state()
    if rows is None:
        estimator.reset_state(rows)
    else:
        with pytest.raises(TypeError, match=r"^rows must be indices of sequences or a boolean mask"):
            estimator.reset_state(rows)
    # The number of sequences of the next chunk is not known.
    assert estimator.reset_state(99).reset_state([True, False])._session.carried_state is None


@pytest.mark.parametrize("rows", [None, 0, "a"])
def test_there_is_nothing_to_reset_without_stateful(running, rows):
    estimator, _, _ = running
    before = deepcopy(estimator)
    with pytest.raises(ValueError, match=r"^stateful=False: every sequence starts again"):
        estimator.set_params(stateful=False).reset_state(rows)
    assert_same_state(before, estimator)


def test_an_estimator_that_is_not_fitted_has_no_state_to_reset():
    with pytest.raises(NotFittedError):
        regressor().reset_state()


def test_chunks_must_be_whole_patches():
    X = np.random.default_rng(0).normal(size=(2, 7, 1))
    estimator = regressor(readout="last", patch_size=3, truncation=None)
    with pytest.raises(
        ValueError, match=re.escape("X[0] has 7 steps, but with stateful=True a chunk needs a multiple of patch")
    ):
        estimator.partial_fit(X, [0.0, 1.0])
    estimator.partial_fit(X[:, :6], [0.0, 1.0])
    assert_refused(estimator, "X.1. has 5 steps", [X[0, :6], X[1, :5]], [0.0, 1.0])


def test_bidirectional_networks_cannot_be_stateful():
    with pytest.raises(ValueError, match="stateful=True does not go with bidirectional=True, whose reverse pass"):
        regressor(bidirectional=True, truncation=None).partial_fit(*stream_data())


@pytest.mark.parametrize("new_sequence", [None, [True, False, True], [True] * 3])
def test_training_that_diverges_leaves_the_state_of_the_chunk_before(running, new_sequence):
    estimator, X, y = running
    before = deepcopy(estimator)
    estimator.set_params(clip_norm=None, solver="sgd", learning_rate_init=1e300)
    X, y = np.tile(X, (1, 2, 1)), np.tile(y, (1, 2))  # the weights after the first window are extremely large
    with pytest.warns(match="learning_rate_init: training stopped"):
        estimator.partial_fit(X, y, new_sequence=new_sequence)
    assert_same_state(before, estimator)
    assert_same_weights(before, estimator)


def interrupt_update(monkeypatch, which):
    """Raise KeyboardInterrupt instead of one of the updates, counted from 1."""
    update, n_updates = Adam.update, itertools.count(1)

    def update_or_interrupt(self, *arguments):
        if next(n_updates) == which:
            raise KeyboardInterrupt
        update(self, *arguments)

    monkeypatch.setattr(Adam, "update", update_or_interrupt)


@pytest.mark.parametrize("new_sequence", [None, [True, False], [True, True]])
def test_ctrl_c_leaves_the_state_of_the_chunk_before_and_the_weights_of_the_last_update(monkeypatch, new_sequence):
    X, y = stream_data(n_steps=5 * WINDOW, n_streams=2)
    first, second = (X[:, :WINDOW], y[:, :WINDOW]), (X[:, WINDOW:], y[:, WINDOW:])  # one window, and four
    estimator = regressor().partial_fit(*first)
    before = deepcopy(estimator)
    two_windows = deepcopy(estimator).partial_fit(
        second[0][:, : 2 * WINDOW], second[1][:, : 2 * WINDOW], new_sequence=new_sequence
    )
    interrupt_update(monkeypatch, 3)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator.partial_fit(*second, new_sequence=new_sequence)
    assert_same_state(before, estimator)
    assert_same_weights(two_windows, estimator)


def test_ctrl_c_in_the_first_chunk_leaves_no_state(monkeypatch):
    interrupt_update(monkeypatch, 3)
    estimator = regressor()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator.partial_fit(*stream_data())
    assert estimator._session.carried_state is None


def test_ctrl_c_without_stateful_leaves_no_state(running, monkeypatch):
    estimator, X, y = running
    interrupt_update(monkeypatch, 1)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator.set_params(stateful=False).partial_fit(X, y)
    assert estimator._session.carried_state is None


# ---- Divergence and a killed process -----------------------------------------------------------------

PROGRAM = """
import os, pickle, signal, sys
from test_stateful import *
path = sys.argv[1]
estimator = regressor(cell="lstm")
for i, part in enumerate(chunks(*stream_data())):
    estimator.partial_fit(*part)
    if i == 2:
        os.kill(os.getpid(), signal.SIGKILL)  # between two chunks, before this one's pickle
    with open(path + ".new", "wb") as file:
        pickle.dump((i + 1, estimator), file)
    os.replace(path + ".new", path)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_goes_on_from_its_last_pickle_bit_for_bit(tmp_path):
    path = tmp_path / "stream.pickle"
    run_python(PROGRAM, path, exit_status=-signal.SIGKILL)
    done, estimator = pickle.loads(path.read_bytes())
    rest = list(chunks(*stream_data()))[done:]
    assert (done, len(rest)) == (2, 2)
    fed(estimator, rest)
    without_interruption = fed(regressor(cell="lstm"), chunks(*stream_data()))
    assert_same_weights(without_interruption, estimator)
    assert_same_state(without_interruption, estimator)


def test_the_state_of_a_single_stream_is_carried_too():
    X, y = stream_data(n_streams=1)
    whole, in_parts, apart = regressor().partial_fit(X, y), regressor(), regressor()
    for start in range(0, N_STEPS, WINDOW):
        part = (X[:, start : start + WINDOW], y[:, start : start + WINDOW])
        in_parts.partial_fit(*part)
        apart.partial_fit(*part, new_sequence=[True])
    for name, weights in whole.weights_.items():
        assert_array_equal(in_parts.weights_[name], weights)
    assert not np.array_equal(apart.weights_["layer_0.recurrent"], whole.weights_["layer_0.recurrent"])
