"""Bytes that training holds, which are those of the plan and within the budget."""

import tracemalloc

import numpy as np
import pytest
from held_memory import Silent, each_cell, held_bytes, smallest_budget
from helpers import (
    NO_MASKS,
    each_engine,
    make_embedding,
    make_network,
    make_regression,
    truncated,
    updates_of,
    with_codes,
)
from numpy.testing import assert_array_equal

from sklearn_rnn._network import blocks, kernels
from sklearn_rnn._network import network as network_module
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.memory import segments
from sklearn_rnn._training.memory.model import BlockMemory, MemoryModel
from sklearn_rnn._training.memory.revolve import Checkpoints
from sklearn_rnn._training.memory.segments import cut_into_segments
from sklearn_rnn._training.optimizers import SGD
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn._training.truncation.fixed import FixedTruncation

each_embedding = pytest.mark.parametrize("embedding", [None, make_embedding()], ids=["numbers", "embedding"])


@each_engine
@each_cell
@each_embedding
@pytest.mark.parametrize("fraction", [1, 0.5, 0.1, 0.02])
def test_the_tapes_hold_what_the_plan_says(small_segments, engine, cell, fraction, embedding):
    network = make_network(cell, sizes=(16, 8), engine=engine, dtype=np.float32, embedding=embedding)
    dataset = with_codes(make_regression((300, 300, 300)))
    dataset.sequences.rows = dataset.sequences.rows.astype(np.float32)
    dataset.targets, dataset.weights = dataset.targets.astype(np.float32), dataset.weights.astype(np.float32)
    batch = dataset.pack(np.arange(3))
    segments = cut_into_segments(network, batch.packing, 0, 300)
    model = MemoryModel(network, batch.packing)
    budget = max(int(fraction * model.full(segments)), smallest_budget(model))
    backpropagation = Backpropagation(network, network.prepare(), SquaredError(), budget)
    next(backpropagation.updates(batch, truncated(300), NO_MASKS))
    plan = model.plan(segments, budget)
    tapes = held_bytes(backpropagation.memory.tapes)
    work = held_bytes([backpropagation.memory.work])
    assert 0 < work <= model.segment(batch.packing.n_rows).work
    planned = model.planned(segments, plan)
    assert 0.6 * planned < tapes + work + plan.n_states * model.state <= planned


def test_blocks_that_sit_idle_hold_no_tapes(small_segments, monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST_TRAINING", 1)
    monkeypatch.setattr(blocks, "SMALLEST_SHARED_TRAINING", 1)
    monkeypatch.setattr(blocks, "SMALLEST_BLOCK", 4)
    network = make_network("gru", sizes=(16,))
    dataset = make_regression((200,) * 11)
    settings = TrainingSettings(batch_size=8, memory_budget=700_000)
    trainer = Trainer(
        network, SquaredError(), SGD(len(network.parameters.vector), np.float64, 0, False), settings, None
    )
    for batch, n_blocks in (([0, 1, 2, 3, 4, 5, 6, 7], 2), ([8, 9, 10], 1)):
        trainer.train_batch(dataset, np.array(batch), 1e-3, Silent())
        assert len(trainer._blocks) == n_blocks
        held = sum(held_bytes([*block.memory.tapes, block.memory.work]) for block in trainer._blocks)
        assert 300_000 < held <= 700_000


@pytest.mark.parametrize("readout", ["mean", "max"])
def test_states_that_windows_begin_in_are_within_the_budget_too(readout, monkeypatch):
    kept = []
    state_before, offer = Checkpoints._state_before, Checkpoints.offer

    def watched_state_before(self, last, run):
        state = state_before(self, last, run)
        kept.append(len(self._kept))
        return state

    def watched_offer(self, piece, state):
        offer(self, piece, state)
        kept.append(len(self._kept))

    monkeypatch.setattr(Checkpoints, "_state_before", watched_state_before)
    monkeypatch.setattr(Checkpoints, "offer", watched_offer)
    network = make_network("lstm", readout=readout, sizes=(8,))
    dataset = make_regression((1000, 700))
    without = updates_of(network, SquaredError(), dataset, 5)
    assert max(kept) == 200
    kept.clear()
    packing = dataset.pack(np.arange(2)).packing
    model = MemoryModel(network, packing)
    budget = sum(model.segment(10)) + 20 * model.state + model.without_tape()
    (within,) = updates_of(network, SquaredError(), dataset, 5, memory_budget=budget)
    assert 5 < max(kept) <= 20
    for name, gradient in without[0].gradient.items():
        assert_array_equal(within.gradient[name], gradient)


@pytest.mark.parametrize(("lengths", "dropout"), [([300] * 8, 0.0), ([300, 290, 180, 260, 300, 150, 300, 210], 0.3)])
@pytest.mark.parametrize("setting", [(None, None), (60, 16), (100, 50), (10, None)])
# What an embedding holds does not depend on the readout.
@pytest.mark.parametrize(
    ("readout", "embedding"),
    [("last", None), ("mean", make_embedding()), ("max", None), ("each", make_embedding())],
    ids=["last", "mean-embedding", "max", "each-embedding"],
)
@each_engine
def test_no_more_is_held_than_the_budget(monkeypatch, engine, readout, setting, lengths, dropout, embedding):
    monkeypatch.setattr(segments, "SEGMENT_VALUES", 4096)
    monkeypatch.setattr(network_module, "CHUNK_VALUES", 8192)
    network = make_network("gru", sizes=(16, 16), readout=readout, engine=engine, embedding=embedding)
    dataset = with_codes(make_regression(lengths, per_step=readout == "each"))
    truncation = truncated(300, *setting)
    needs = BlockMemory(network, np.array(sorted(lengths, reverse=True)), truncation, has_masks=dropout > 0)
    for budget in (needs.smallest, (needs.smallest + needs.full) // 2, needs.full):
        settings = TrainingSettings(
            batch_size=8, memory_budget=budget, truncation=FixedTruncation(*setting), dropout=dropout
        )
        optimizer = SGD(len(network.parameters.vector), np.float64, 0, False)
        trainer, held = Trainer(network, SquaredError(), optimizer, settings, np.random.RandomState(0)), []
        backward = RecurrentNetwork.backward

        def watched(self, *arguments, trainer=trainer, held=held, backward=backward):
            result = backward(self, *arguments)
            blocks = trainer._blocks
            held.append(sum(held_bytes([*block.memory.tapes, block.memory.work]) for block in blocks))
            return result

        monkeypatch.setattr(RecurrentNetwork, "backward", watched)
        for _ in range(2):
            trainer.train_batch(dataset, np.arange(8), 1e-6, Silent())
        monkeypatch.setattr(RecurrentNetwork, "backward", backward)
        assert 0 < max(held) <= budget


@pytest.mark.skipif(kernels.name == "numpy", reason="NumPy's cells take new arrays in every pass")
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("readout", ["mean", ("last", "mean", "max"), ("max", "mean"), "each"])
def test_the_second_update_takes_no_new_memory_for_rows(bidirectional, readout):
    network = make_network(sizes=(32,), readout=readout, bidirectional=bidirectional)
    batch = make_regression((100,) * 8, per_step=readout == "each").pack(np.arange(8))
    backpropagation = Backpropagation(network, network.prepare(), SquaredError())
    list(backpropagation.updates(batch, truncated(100), NO_MASKS))
    tracemalloc.start()
    list(backpropagation.updates(batch, truncated(100), NO_MASKS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < batch.packing.n_rows * network.n_hidden * network.dtype.itemsize
