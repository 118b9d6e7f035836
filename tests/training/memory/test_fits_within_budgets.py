"""Gradients and fits have the same bits with and without a budget."""

import numpy as np
import pytest
from held_memory import LENGTHS, each_cell, each_readout
from helpers import (
    each_engine,
    make_embedding,
    make_network,
    make_regression,
    make_sequences,
    plain_regressor,
    truncated,
    updates_of,
    with_codes,
)
from numpy.testing import assert_array_equal

from sklearn_rnn._network import blocks
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.memory.model import BlockMemory, MemoryModel

# Training ends here after a number of epochs, not when it has converged.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")


@each_engine
@each_cell
@each_readout
@pytest.mark.parametrize(("truncation", "stride"), [(None, None), (12, None), (14, 5)])
def test_a_budget_changes_no_bit_of_a_gradient(small_segments, engine, cell, readout, truncation, stride):
    network = make_network(cell, sizes=(3, 4), readout=readout, engine=engine, embedding=make_embedding())
    dataset = with_codes(make_regression(LENGTHS, per_step=readout == "each"))
    masks = DropoutMasks.draw(network, len(LENGTHS), 0.4, np.random.RandomState(0))
    problem = (network, SquaredError(), dataset, truncation, stride, masks)
    without = updates_of(*problem)
    assert len(without) == (1 if readout != "each" or truncation is None else len(truncated(31, truncation, stride)))
    packing = dataset.pack(np.arange(len(LENGTHS))).packing
    state = MemoryModel(network, packing).state
    smallest = BlockMemory(network, packing.lengths, truncated(31, truncation, stride), has_masks=True).smallest
    for budget in (smallest, smallest + state, 2 * smallest, 4 * smallest):
        for one, other in zip(without, updates_of(*problem, memory_budget=budget), strict=True):
            assert (one.loss, one.weight) == (other.loss, other.weight)
            for name, gradient in one.gradient.items():
                assert_array_equal(other.gradient[name], gradient)


@pytest.mark.parametrize("n_jobs", [1, 2])
@each_readout
def test_a_budget_changes_no_bit_of_a_fit(small_segments, monkeypatch, readout, n_jobs):
    monkeypatch.setattr(blocks, "SMALLEST_TRAINING", 1)
    monkeypatch.setattr(blocks, "SMALLEST_SHARED_TRAINING", 1)
    monkeypatch.setattr(blocks, "SMALLEST_BLOCK", 2)
    sequences = make_sequences(LENGTHS)
    y = [np.sin(x[:, 0]) for x in sequences] if readout == "each" else np.arange(6.0)
    settings = {"readout": readout, "dropout": 0.2, "batch_size": 4, "max_iter": 3, "random_state": 0}
    without = plain_regressor((4, 3), **settings).fit(sequences, y)
    estimator = plain_regressor((4, 3), memory_budget=20_000, n_jobs=n_jobs, **settings)
    estimate = estimator.memory_estimate(sequences)
    assert estimate.smallest < 20_000 < estimate.full
    estimator.fit(sequences, y)
    assert estimator.loss_curve_ == without.loss_curve_
    for name, weights in without.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


@pytest.mark.parametrize(("dtype", "budget"), [(np.float32, 4_000_000), (np.float64, 8_000_000)])
def test_long_sequences_are_cut_without_a_budget_too(dtype, budget):
    """No constants changed: as everybody has it."""
    X = np.random.default_rng(0).normal(size=(2, 9000, 1)).astype(dtype)
    y = [0.0, 1.0]
    settings = {"hidden_layer_sizes": (16,), "max_iter": 2, "random_state": 0}
    without = plain_regressor(**settings).fit(X, y)
    estimator = plain_regressor(memory_budget=budget, **settings)
    estimate = estimator.memory_estimate(X)
    assert estimate.planned <= budget < estimate.full
    assert 1 < estimate.n_forward_passes <= 2
    estimator.fit(X, y)
    for name, weights in without.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


@pytest.mark.parametrize("truncation", [None, 20, "unbiased", "auto"])
@each_readout
def test_the_smallest_budget_suffices_for_every_batch_of_every_epoch(readout, truncation):
    """For ragged batches too, when the longest sequences, which were looked at, are equally long."""
    sequences = make_sequences([60] * 40 + list(range(15, 55)))
    y = [x[:, 0] for x in sequences] if readout == "each" else np.arange(80.0)
    settings = {"readout": readout, "truncation": truncation, "dropout": 0.2, "batch_size": 33, "random_state": 0}
    settings |= {"hidden_layer_sizes": (48, 32), "max_iter": 2, "cell": "rnn", "clip_norm": 0.1}
    smallest = plain_regressor(**settings).memory_estimate(sequences).smallest
    without = plain_regressor(**settings).fit(sequences, y)
    for n_jobs in (1, 2):
        estimator = plain_regressor(memory_budget=smallest, n_jobs=n_jobs, **settings).fit(sequences, y)
        for name, weights in without.weights_.items():
            assert_array_equal(estimator.weights_[name], weights)


def test_lbfgs_takes_a_budget(small_segments):
    sequences, y = make_sequences(LENGTHS), np.arange(6.0)
    settings = {"solver": "lbfgs", "max_iter": 5, "random_state": 0, "hidden_layer_sizes": (4,)}
    without = plain_regressor(**settings).fit(sequences, y)
    estimator = plain_regressor(memory_budget="9kB", **settings)
    assert estimator.memory_estimate(sequences).n_forward_passes > 1
    estimator.fit(sequences, y)
    for name, weights in without.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)
