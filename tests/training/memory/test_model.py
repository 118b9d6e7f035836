"""The memory model: plans within a budget, and the estimate of training."""

import itertools

import numpy as np
import pytest
from held_memory import each_cell, each_readout, held_bytes, many_segments, smallest_budget
from helpers import each_engine, make_network, make_sequences, plain_regressor
from numpy.testing import assert_allclose
from sklearn import config_context

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import network as network_module
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.memory.budget import OverBudget
from sklearn_rnn._training.memory.model import MemoryModel

# Training ends here after a number of epochs, not when it has converged.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")


@each_engine
@each_cell
def test_plans_keep_within_the_budget_and_use_it(small_segments, engine, cell):
    network = make_network(cell, sizes=(5, 4), engine=engine)
    segments = many_segments(network)
    assert len(segments) > 100
    model = MemoryModel(network, segments[0].batch_packing)
    everything, smallest = model.full(segments), smallest_budget(model)
    assert smallest < everything / 20
    n_run = []
    for budget in np.geomspace(smallest, everything, 60).round().astype(int).tolist():
        plan = model.plan(segments, budget)
        assert model.planned(segments, plan) <= budget
        n_run.append(plan.n_runs(len(segments)))
    assert n_run == sorted(n_run, reverse=True), "more memory makes more work"
    assert n_run[-1] == len(segments)


def test_one_level_of_segments_is_taken_where_it_suffices(small_segments):
    network = make_network()
    segments = many_segments(network)
    model = MemoryModel(network, segments[0].batch_packing)
    one_level = smallest_budget(model) + (len(segments) - 2) * model.state
    assert model.plan(segments, one_level) == (1, len(segments) - 1)
    assert model.plan(segments, one_level).n_runs(len(segments)) == 2 * len(segments) - 1
    assert model.plan(segments, one_level - 1) == (1, len(segments) - 2)


def test_a_budget_that_is_too_small_is_told_the_smallest(small_segments):
    network = make_network()
    segments = many_segments(network)
    model = MemoryModel(network, segments[0].batch_packing)
    smallest = smallest_budget(model)
    assert model.plan(segments, smallest) == (1, 1)
    with pytest.raises(OverBudget) as error:
        model.plan(segments, smallest - 1)
    assert error.value.args == (smallest,)


@pytest.mark.parametrize("sizes", [(100,), (50, 50)], ids=str)
def test_a_budget_of_all_tapes_is_never_refused(sizes):
    X = np.random.default_rng(0).normal(size=(33, 40, 2))  # in blocks of 17 and 16
    estimate = plain_regressor(sizes).memory_estimate(X)
    assert estimate.smallest <= estimate.full
    estimator = plain_regressor(sizes, memory_budget=estimate.full, max_iter=1)
    assert estimator.memory_estimate(X) == estimate
    assert estimator.fit(X, np.arange(33.0)).n_iter_ == 1


@each_readout
@pytest.mark.parametrize("setting", [(None, None), (50, None), (50, 10)])
@pytest.mark.parametrize("share", [None, 0.2])
def test_the_forward_passes_that_are_told_are_those_that_are_run(small_segments, monkeypatch, readout, setting, share):
    X = np.random.default_rng(0).normal(size=(4, 600, 1))
    y = X[..., 0] if readout == "each" else X[:, 0, 0]
    estimator = plain_regressor((4,), readout=readout, truncation=setting[0], truncation_stride=setting[1], max_iter=1)
    if share is not None:
        estimator.memory_budget = int(share * estimator.memory_estimate(X).full)
    told = estimator.memory_estimate(X).n_forward_passes
    n_rows, forward = [], RecurrentNetwork.forward

    def counted(self, weights, rows, *arguments, **keywords):
        n_rows.append(len(rows))
        return forward(self, weights, rows, *arguments, **keywords)

    monkeypatch.setattr(RecurrentNetwork, "forward", counted)
    estimator.partial_fit(X, y)
    assert_allclose(sum(n_rows) / 2400, told, rtol=0.1, atol=0)
    assert share is None or setting[0] is not None or told > 1.5


def test_the_estimate_leaves_the_estimator_as_it_is():
    X = np.random.default_rng(0).normal(size=(3, 50, 2))
    estimator = plain_regressor(memory_budget="1MB")
    before = dict(vars(estimator))
    estimator.memory_estimate(X)
    assert vars(estimator) == before
    estimator.set_params(max_iter=1).fit(X, [0.0, 1.0, 2.0])
    fitted = dict(vars(estimator))
    estimator.memory_estimate(X[:, :, :1])
    assert vars(estimator) == fitted


def test_the_estimate_is_that_of_the_longest_batch_and_of_a_window(monkeypatch):
    monkeypatch.setattr(network_module, "CHUNK_VALUES", 64)  # steps that are run without a tape: few at once
    lengths = [400, 100, 300, 200]
    sequences = make_sequences(lengths, 1)

    def full(**settings):
        return plain_regressor((8,), **settings).memory_estimate(sequences).full

    assert full(batch_size=2) == plain_regressor((8,)).memory_estimate([sequences[0], sequences[2]]).full
    assert full(batch_size=4) > full(batch_size=2)
    assert full(truncation=50, readout="each") < 0.35 * full(readout="each")
    assert full(truncation=50) < 0.5 * full()
    assert full(truncation=1000) == full()
    assert full(patch_size=4) < 0.3 * full()
    with config_context(assume_finite=True):
        halved = plain_regressor((16,)).memory_estimate([x.astype(np.float32) for x in sequences])
    assert halved.full == plain_regressor((16,)).memory_estimate(sequences).full / 2


@each_engine
@each_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("lengths", [(9, 9, 9), (9, 7, 2)])
def test_passes_fill_the_bytes_of_the_model(engine, cell, bidirectional, lengths):
    """Tape, work arrays, and a pass without a tape, layer upon layer; the model may count one state more."""
    for sizes, readout in itertools.product([(5,), (5, 4)], ["last", "mean"]):
        network = make_network(cell, sizes=sizes, readout=readout, engine=engine, bidirectional=bidirectional)
        packing, tape, work, untaped = Packing(np.array(lengths)), NetworkBuffers(), NetworkBuffers(), NetworkBuffers()
        model, rows, weights = MemoryModel(network, packing), np.ones((packing.n_rows, 2)), network.prepare()
        _, d_state, cell_tapes = network.forward(weights, rows, packing, network.initial_state(3), tape)
        assert model.tape(packing.n_rows) - model.state <= held_bytes([tape]) <= model.tape(packing.n_rows)
        d_pooled = np.ones((len(lengths), network.n_hidden))
        d_hidden = network.pool(packing.lengths).d_hidden(d_pooled, packing, 0, work.of("readout"))
        network.backward(weights, cell_tapes, d_hidden, d_state, network.parameters.like(), work)
        # NumPy's cells give d_x as new arrays, which are not among those held.
        assert 0.5 * model.work(packing.n_rows) < held_bytes([work]) <= model.work(packing.n_rows)
        if bidirectional:  # it has no pass without a tape: training runs all its steps at once
            continue
        for _ in network.forward_without_tape(
            weights, rows, packing, network.initial_state(3), untaped, keeps_hidden=readout != "last"
        ):
            pass
        assert 0 < held_bytes([untaped]) <= model.without_tape()
