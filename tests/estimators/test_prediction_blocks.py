"""Predictions in blocks of sequences and in chunks of steps."""

import numpy as np
import pytest
from helpers import ENGINES, each_engine, make_sequences
from numpy.testing import assert_allclose
from small_estimators import GATES, READOUTS, regressor, small_data

from sklearn_rnn._network.blocks import LARGEST_BLOCK, prediction_blocks
from sklearn_rnn._network.network import CHUNK_VALUES, RecurrentNetwork
from sklearn_rnn._network.prepared_weights import MOST_KEPT_BYTES
from sklearn_rnn._utils.threads import threads


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_sequences_are_predicted_like_few(readout, bidirectional, monkeypatch):
    X, _, targets = small_data(readout)
    reg = regressor(readout=readout, bidirectional=bidirectional, cell="lstm", max_iter=1).fit(X, targets)
    lengths = np.random.default_rng(0).integers(1, 60, size=2 * LARGEST_BLOCK + 44)
    many = make_sequences(lengths, seed=7)
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_WORK", 1)
    assert len(prediction_blocks(reg._model.network, lengths)) == 2
    for method in (reg.predict, reg.hidden_states):
        at_once = method(many)
        parts = [value for start in range(0, len(many), 70) for value in method(many[start : start + 70])]
        assert len(at_once) == len(parts) == len(many)
        for actual, expected in zip(at_once, parts):
            assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", GATES)
def test_the_state_is_carried_from_chunk_to_chunk_of_long_sequences(readout, cell, monkeypatch):
    X, _, targets = small_data(readout)
    reg = regressor(readout=readout, cell=cell, hidden_layer_sizes=(3, 2), max_iter=1).fit(X, targets)
    long = make_sequences((50, 33, 64, 1, 17), seed=7)
    expected = reg.predict(long), reg.hidden_states(long)
    monkeypatch.setattr("sklearn_rnn._network.network.CHUNK_VALUES", 64)
    for actual, whole in zip((reg.predict(long), reg.hidden_states(long)), expected):
        for a, b in zip(actual, whole):
            assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_a_very_long_sequence_is_predicted_like_its_parts():
    X, _, targets = small_data("each")
    reg = regressor(readout="each", cell="rnn", max_iter=1).fit(X, targets)
    n_steps_at_once = CHUNK_VALUES // reg._model.network._values_per_row(keeps_hidden=True)
    (long,) = make_sequences((n_steps_at_once + 100,), seed=7)
    hidden, predicted = reg.hidden_states([long])[0], reg.predict([long])[0]
    W, U, b = (reg.weights_[f"layer_0.{name}"] for name in ("input", "recurrent", "bias"))
    t = np.arange(n_steps_at_once - 50, n_steps_at_once + 50)  # before and after the end of a chunk
    assert_allclose(hidden[t], np.tanh(long[t] @ W + hidden[t - 1] @ U + b), rtol=1e-10, atol=1e-13)
    scores = hidden @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
    expected = reg.target_mean_ + reg.target_scale_ * scores
    assert_allclose(predicted, expected[:, 0], rtol=1e-10, atol=1e-13)


def test_work_arrays_are_kept_for_the_next_prediction_unless_they_are_large():
    X, _, targets = small_data("last")
    weights = regressor(max_iter=1).fit(X, targets)._model.network.prepare(for_backward=False)
    others = weights.take_buffers()  # those that the fit has left, if any
    buffers = weights.take_buffers()
    assert buffers is not others  # another thread has work arrays of its own
    buffers.of("layer_0").array("h", (MOST_KEPT_BYTES // 4,), np.float32)
    weights.keep_buffers(buffers)
    assert weights.take_buffers() is buffers
    buffers.of("layer_0").array("h", (MOST_KEPT_BYTES // 4 + 1,), np.float32)
    weights.keep_buffers(buffers)
    assert weights.take_buffers() is not buffers


@each_engine
def test_blas_is_held_to_one_thread_where_it_multiplies(engine, monkeypatch):
    X, _, targets = small_data("last")
    reg = regressor(max_iter=1).fit(X, targets)
    network = reg._model.network
    network.engine = ENGINES[engine]
    limits = []

    def noted(n_jobs, limits_blas):
        limits.append(limits_blas)
        return threads(n_jobs, limits_blas)

    monkeypatch.setattr("sklearn_rnn._inference.prediction.threads", noted)
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_WORK", 1)
    reg.predict(make_sequences(np.full(40, 5)))
    assert limits == [engine == "numpy"]


@each_engine
@pytest.mark.parametrize("most_shared", [1, 0])
def test_all_threads_share_few_blocks_if_the_engine_can(engine, most_shared, monkeypatch):
    X, _, targets = small_data("last")
    reg = regressor(max_iter=1).fit(X, targets)
    network = reg._model.network
    network.engine = ENGINES[engine]
    many, blocks, forward = make_sequences(np.full(80, 5)), [], RecurrentNetwork.forward_without_tape
    expected = reg.predict(many)

    def noted(self, weights, rows, packing, state, buffers, *arguments, **options):
        blocks.append((packing.n_sequences, buffers.n_threads))
        return forward(self, weights, rows, packing, state, buffers, *arguments, **options)

    monkeypatch.setattr(RecurrentNetwork, "forward_without_tape", noted)
    monkeypatch.setattr("sklearn_rnn._network.blocks.SMALLEST_WORK", 1)
    monkeypatch.setattr("sklearn_rnn._network.blocks.USUAL_WORK", 1)  # a block has 32 sequences
    monkeypatch.setattr("sklearn_rnn._inference.prediction.SMALLEST_SHARED", 1)
    monkeypatch.setattr("sklearn_rnn._inference.prediction.MOST_SHARED", most_shared)
    reg.set_params(n_jobs=2)
    assert_allclose(reg.predict(many), expected, rtol=1e-10, atol=1e-13)
    are_shared = engine == "compiled" and most_shared
    assert blocks == ([(80, 2)] if are_shared else [(40, 1), (40, 1)])
