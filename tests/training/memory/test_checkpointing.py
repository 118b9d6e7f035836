"""Bounded memory: which segments keep their tapes, and that gradients don't notice."""

import itertools
import re
import weakref
from functools import cache

import numpy as np
import pytest
from helpers import (
    NO_MASKS,
    each_engine,
    make_network,
    make_regression,
    make_sequences,
    truncated,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context

from sklearn_rnn import RNNClassifier, RNNRegressor, _base
from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import blocks
from sklearn_rnn._network import network as network_module
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.memory import segments
from sklearn_rnn._training.memory.budget import BlockMemory, in_bytes
from sklearn_rnn._training.memory.plan import (
    MemoryPlan,
    OverBudget,
    n_rows_of,
    n_segments_run,
    plan_memory,
    planned_bytes,
    sizes_of,
)
from sklearn_rnn._training.memory.revolve import Checkpoints, advance, fewest_runs
from sklearn_rnn._training.memory.segments import SegmentedPass, cut_into_segments
from sklearn_rnn._training.optimizers import SGD
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer
from sklearn_rnn._training.truncation.fixed import FixedTruncation

# Training ends here after a number of epochs, not when it has converged.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

LENGTHS = (23, 4, 31, 17, 31, 1)
READOUTS = ["last", "mean", "max", "each"]

each_readout = pytest.mark.parametrize("readout", READOUTS)
each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])


@pytest.fixture
def small_segments(monkeypatch):
    """Segments of a few rows, so that short sequences have several."""
    monkeypatch.setattr(segments, "SEGMENT_VALUES", 1)
    monkeypatch.setattr(segments, "SMALLEST_SEGMENT", 8)
    monkeypatch.setattr(network_module, "CHUNK_VALUES", 64)


# ---- Segments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("borders", [(), (5,), (1, 30, 200)])
@pytest.mark.parametrize(("start", "stop"), [(0, 31), (7, 31), (0, 12), (16, 17)])
def test_segments_have_every_row_once_and_begin_at_the_borders(small_segments, start, stop, borders):
    packing = Packing(np.sort(LENGTHS)[::-1])
    segments = cut_into_segments(make_network(), packing, start, stop, borders)
    assert segments[0].start == start
    assert segments[-1].stop == stop
    rows = [row for segment in segments for row in range(segment.rows.start, segment.rows.stop)]
    assert rows == list(range(packing.offsets[start], packing.offsets[stop]))
    for one, following in itertools.pairwise(segments):
        assert one.stop == following.start
    starts = {segment.start for segment in segments}
    assert starts >= {border for border in borders if start < border < stop}
    for segment in segments:
        assert segment.packing.n_rows == segment.rows.stop - segment.rows.start
        assert segment.packing.n_rows < 8 + len(LENGTHS)


def test_a_small_window_is_one_segment():
    assert len(cut_into_segments(make_network(), Packing(np.array([31, 17])), 0, 31)) == 1


def test_a_bidirectional_network_is_not_cut(small_segments):
    network = make_network(bidirectional=True)
    assert len(cut_into_segments(network, Packing(np.array([31, 17])), 0, 31)) == 1


# ---- Plans -------------------------------------------------------------------------------------------


@cache
def fewest(n_segments, n_states):
    """Runs without a tape by trying every place for the next state."""
    if n_states == 0 or n_segments == 1:
        return n_segments * (n_segments - 1) // 2
    return min(n + fewest(n_segments - n, n_states - 1) + fewest(n, n_states) for n in range(1, n_segments))


@pytest.mark.parametrize("n_states", [0, 1, 2, 3, 5, 40])
def test_the_closed_form_has_the_fewest_runs(n_states):
    for n_segments in range(1, 60):
        assert fewest_runs(n_segments, n_states) == fewest(n_segments, n_states)


@pytest.mark.parametrize("n_states", [1, 2, 3, 5, 40])
def test_states_are_kept_where_they_save_the_most_runs(n_states):
    for n_segments in range(2, 60):
        n = advance(n_segments, n_states)
        assert 1 <= n < n_segments
        assert n + fewest(n_segments - n, n_states - 1) + fewest(n, n_states) == fewest(n_segments, n_states)


def smallest_budget(network, segments, has_masks=False):
    return sum(sizes_of(network, segments[0].batch_packing, n_rows_of(segments), has_masks))


class Runs:
    """Counts a pass's runs; a state is the number of segments run so far, and memory what it was last used for."""

    def __init__(self):
        self.n_runs, self.memory = 0, {}

    def __call__(self, segment, state, buffers, keeps_tape):
        assert state == segment, "a segment is run from another one's state"
        self.n_runs += 1
        self.memory[id(buffers)] = segment
        return (segment, id(buffers)) if keeps_tape else None, state + 1, segment if keeps_tape else None


@pytest.mark.parametrize("n_segments", [1, 2, 3, 7, 20, 33])
def test_every_plan_gives_all_tapes_from_the_last_to_the_first(n_segments):
    for n_tapes in range(1, n_segments + 1):
        n_again = n_segments - n_tapes
        for n_states in range(1, n_again + 1) if n_again else [0]:
            plan, runs, memory = MemoryPlan(n_tapes, n_states), Runs(), []
            steps = SegmentedPass(runs, list(range(n_segments)), *plan, memory)
            seen = [(segment, state) for segment, _, state in steps.forward(0)]
            assert seen == [(segment, segment + 1) for segment in range(n_segments)]
            assert runs.n_runs == n_segments
            found = []
            for segment, hidden, tape in steps.backward():
                assert segment == tape == hidden[0]
                assert runs.memory[hidden[1]] == segment, "the tape has been written over"
                assert len(steps._checkpoints._kept) <= n_states
                found.append(segment)
            assert found == list(reversed(range(n_segments)))
            assert len(memory) == n_tapes
            assert runs.n_runs == n_segments_run(n_segments, plan)


def many_segments(network, n_steps=400, n_sequences=3):
    return cut_into_segments(network, Packing(np.full(n_sequences, n_steps)), 0, n_steps)


@each_engine
@each_cell
def test_plans_keep_within_the_budget_and_use_it(small_segments, engine, cell):
    network = make_network(cell, sizes=(5, 4), engine=engine)
    segments = many_segments(network)
    assert len(segments) > 100
    everything = planned_bytes(network, segments, plan_memory(network, segments))
    smallest = smallest_budget(network, segments)
    assert smallest < everything / 20
    n_run = []
    for budget in np.geomspace(smallest, everything, 60).round().astype(int).tolist():
        plan = plan_memory(network, segments, budget)
        assert planned_bytes(network, segments, plan) <= budget
        n_run.append(n_segments_run(len(segments), plan))
    assert n_run == sorted(n_run, reverse=True), "more memory makes more work"
    assert n_run[-1] == len(segments)


def test_one_level_of_segments_is_taken_where_it_suffices(small_segments):
    network = make_network()
    segments = many_segments(network)
    state, smallest = network.state_bytes(3), smallest_budget(network, segments)
    one_level = smallest + (len(segments) - 2) * state
    assert plan_memory(network, segments, one_level) == (1, len(segments) - 1)
    assert n_segments_run(len(segments), plan_memory(network, segments, one_level)) == 2 * len(segments) - 1
    assert plan_memory(network, segments, one_level - 1) == (1, len(segments) - 2)


def test_a_budget_that_is_too_small_is_told_the_smallest(small_segments):
    network = make_network()
    segments = many_segments(network)
    smallest = smallest_budget(network, segments)
    assert plan_memory(network, segments, smallest) == (1, 1)
    with pytest.raises(OverBudget) as error:
        plan_memory(network, segments, smallest - 1)
    assert error.value.args == (smallest,)


# ---- What a plan counts is what is held --------------------------------------------------------------


class Silent:
    """A monitor that is told and says nothing."""

    def end_update(self, *figures):
        pass


def held_bytes(memory):
    """Bytes of all arrays in sets of buffers."""
    return sum(
        array.nbytes for buffers in memory for direction in buffers.values() for array in direction._memory.values()
    )


@each_engine
@each_cell
@pytest.mark.parametrize("fraction", [1, 0.5, 0.1, 0.02])
def test_the_tapes_hold_what_the_plan_says(small_segments, engine, cell, fraction):
    network = make_network(cell, sizes=(16, 8), engine=engine, dtype=np.float32)
    dataset = make_regression((300, 300, 300))
    dataset.sequences.rows = dataset.sequences.rows.astype(np.float32)
    dataset.targets, dataset.weights = dataset.targets.astype(np.float32), dataset.weights.astype(np.float32)
    batch = dataset.pack(np.arange(3))
    segments = cut_into_segments(network, batch.packing, 0, 300)
    everything = planned_bytes(network, segments, plan_memory(network, segments))
    budget = max(int(fraction * everything), smallest_budget(network, segments))
    backpropagation = Backpropagation(network, network.prepare(), SquaredError(), budget)
    next(backpropagation.updates(batch, truncated(300), NO_MASKS))
    plan = plan_memory(network, segments, budget)
    tapes = held_bytes(backpropagation.memory.tapes)
    work = held_bytes([backpropagation.memory.work])
    assert 0 < work <= sizes_of(network, batch.packing, batch.packing.n_rows).work
    assert tapes + work + plan.n_states * network.state_bytes(3) <= planned_bytes(network, segments, plan)
    assert tapes + work + plan.n_states * network.state_bytes(3) > 0.6 * planned_bytes(network, segments, plan)


# ---- The same bits -----------------------------------------------------------------------------------


@each_engine
@each_cell
@each_readout
@pytest.mark.parametrize(("truncation", "stride"), [(None, None), (12, None), (14, 5)])
def test_a_budget_changes_no_bit_of_a_gradient(small_segments, engine, cell, readout, truncation, stride):
    network = make_network(cell, sizes=(3, 4), readout=readout, engine=engine)
    dataset = make_regression(LENGTHS, per_step=readout == "each")
    masks = DropoutMasks.draw(network, len(LENGTHS), 0.4, np.random.RandomState(0))
    problem = (network, SquaredError(), dataset, truncation, stride, masks)
    without = updates_of(*problem)
    assert len(without) == (1 if readout != "each" or truncation is None else len(truncated(31, truncation, stride)))
    packing = dataset.pack(np.arange(len(LENGTHS))).packing
    smallest = BlockMemory(network, packing.lengths, truncated(31, truncation, stride), has_masks=True).smallest
    for budget in (smallest, smallest + network.state_bytes(6), 2 * smallest, 4 * smallest):
        for one, other in zip(without, updates_of(*problem, memory_budget=budget), strict=True):
            assert (one.loss, one.weight) == (other.loss, other.weight)
            for name, gradient in one.gradient.items():
                assert_array_equal(other.gradient[name], gradient)


@pytest.mark.parametrize("n_jobs", [1, 2])
@each_readout
def test_a_budget_changes_no_bit_of_a_fit(small_segments, monkeypatch, readout, n_jobs):
    monkeypatch.setattr(blocks, "SMALLEST_WORK", 1)
    monkeypatch.setattr(blocks, "SMALLEST_BLOCK", 2)
    sequences = make_sequences(LENGTHS)
    y = [np.sin(x[:, 0]) for x in sequences] if readout == "each" else np.arange(6.0)
    settings = {"readout": readout, "dropout": 0.2, "batch_size": 4, "max_iter": 3, "random_state": 0}
    without = RNNRegressor((4, 3), **settings).fit(sequences, y)
    estimator = RNNRegressor((4, 3), memory_budget=20_000, n_jobs=n_jobs, **settings)
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
    without = RNNRegressor(**settings).fit(X, y)
    estimator = RNNRegressor(memory_budget=budget, **settings)
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
    smallest = RNNRegressor(**settings).memory_estimate(sequences).smallest
    without = RNNRegressor(**settings).fit(sequences, y)
    for n_jobs in (1, 2):
        estimator = RNNRegressor(memory_budget=smallest, n_jobs=n_jobs, **settings).fit(sequences, y)
        for name, weights in without.weights_.items():
            assert_array_equal(estimator.weights_[name], weights)


def test_a_budget_of_all_tapes_is_never_refused():
    X = np.random.default_rng(0).normal(size=(33, 40, 2))  # in blocks of 17 and 16
    estimate = RNNRegressor().memory_estimate(X)
    assert estimate.smallest <= estimate.full
    assert RNNRegressor(memory_budget=estimate.full).memory_estimate(X) == estimate


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_block_too_little_is_told_in_words_while_training(n_jobs, monkeypatch):
    """Where the check beforehand should ever miss it."""
    monkeypatch.setattr(_base, "memory_estimate", lambda *_: None)
    estimator = RNNRegressor(memory_budget=1000, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="memory_budget=1000 bytes is too little"):
        estimator.fit(np.random.default_rng(0).normal(size=(40, 50, 2)), np.arange(40.0))
    assert not hasattr(estimator, "weights_")


def test_blocks_that_sit_idle_hold_no_tapes(small_segments, monkeypatch):
    monkeypatch.setattr(blocks, "SMALLEST_WORK", 1)
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
    state = network.state_bytes(2)
    without = updates_of(network, SquaredError(), dataset, 5)
    assert max(kept) == 200
    kept.clear()
    packing = dataset.pack(np.arange(2)).packing
    budget = sum(sizes_of(network, packing, 10)) + 20 * state + network.bytes_without_tape(packing)
    (within,) = updates_of(network, SquaredError(), dataset, 5, memory_budget=budget)
    assert 5 < max(kept) <= 20
    for name, gradient in without[0].gradient.items():
        assert_array_equal(within.gradient[name], gradient)


@each_readout
@pytest.mark.parametrize("setting", [(None, None), (50, None), (50, 10)])
@pytest.mark.parametrize("share", [None, 0.2])
def test_the_forward_passes_that_are_told_are_those_that_are_run(small_segments, monkeypatch, readout, setting, share):
    X = np.random.default_rng(0).normal(size=(4, 600, 1))
    y = X[..., 0] if readout == "each" else X[:, 0, 0]
    estimator = RNNRegressor((4,), readout=readout, truncation=setting[0], truncation_stride=setting[1], max_iter=1)
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


def test_lbfgs_takes_a_budget(small_segments):
    sequences, y = make_sequences(LENGTHS), np.arange(6.0)
    settings = {"solver": "lbfgs", "max_iter": 5, "random_state": 0, "hidden_layer_sizes": (4,)}
    without = RNNRegressor(**settings).fit(sequences, y)
    estimator = RNNRegressor(memory_budget="9kB", **settings)
    assert estimator.memory_estimate(sequences).n_forward_passes > 1
    estimator.fit(sequences, y)
    for name, weights in without.weights_.items():
        assert_array_equal(estimator.weights_[name], weights)


# ---- The parameter and the estimate ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("64MB", 64_000_000), ("64 MB", 64_000_000), ("1.5kB", 1500), ("2GiB", 2**31), ("1KiB", 1024), ("700B", 700)],
)
def test_budgets_in_words(text, n_bytes):
    assert in_bytes(text) == n_bytes


def test_other_budgets_stay_as_they_are():
    assert in_bytes(None) is None
    assert in_bytes(1000) == 1000


@pytest.mark.parametrize(
    "text", ["64", "MB", "64 M", "-1MB", "0MB", "64mb", "much", "0.5B", "9" * 400 + "GB", "9" * 305 + "GB", True]
)
def test_words_that_are_no_budget(text):
    estimator = RNNClassifier(memory_budget=text)
    with pytest.raises(
        ValueError, match=re.escape(f"memory_budget={text!r} is not a number with one of the units B, kB")
    ):
        estimator.fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize("budget", [0, -5, 1.5])
def test_numbers_that_are_no_budget(budget):
    with pytest.raises(ValueError, match="The 'memory_budget' parameter"):
        RNNClassifier(memory_budget=budget).fit([[0.0], [1.0]], [0, 1])


def test_a_budget_that_is_too_small_is_refused_before_training():
    X, y = np.random.default_rng(0).normal(size=(3, 50, 2)), [0, 1, 0]
    estimator = RNNClassifier(memory_budget=100)
    with pytest.raises(
        ValueError, match=r"memory_budget=100 bytes is too little: .* need \d+ bytes at the least"
    ) as error:
        estimator.fit(X, y)
    assert not hasattr(estimator, "weights_")
    smallest = int(re.search(r"need (\d+) bytes", str(error.value))[1])
    with pytest.raises(ValueError, match="memory_budget=100 bytes is too little"):
        estimator.memory_estimate(X)
    estimator.set_params(memory_budget=smallest, max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="too little"):
        estimator.set_params(memory_budget=smallest - 1).partial_fit(X, y)


def test_bidirectional_networks_refuse_a_budget():
    with pytest.raises(ValueError, match="memory_budget='1MB' does not go with bidirectional=True, whose reverse pass"):
        RNNClassifier(memory_budget="1MB", bidirectional=True).fit([[0.0], [1.0]], [0, 1])


def test_the_estimate_leaves_the_estimator_as_it_is():
    X = np.random.default_rng(0).normal(size=(3, 50, 2))
    estimator = RNNRegressor(memory_budget="1MB")
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
        return RNNRegressor((8,), **settings).memory_estimate(sequences).full

    assert full(batch_size=2) == RNNRegressor((8,)).memory_estimate([sequences[0], sequences[2]]).full
    assert full(batch_size=4) > full(batch_size=2)
    assert full(truncation=50, readout="each") < 0.35 * full(readout="each")
    assert full(truncation=50) < 0.5 * full()
    assert full(truncation=1000) == full()
    assert full(patch_size=4) < 0.3 * full()
    with config_context(assume_finite=True):
        halved = RNNRegressor((16,)).memory_estimate([x.astype(np.float32) for x in sequences])
    assert halved.full == RNNRegressor((16,)).memory_estimate(sequences).full / 2


# ---- What is held, over many windows and batches -----------------------------------------------------


@pytest.mark.parametrize("lengths", [[300] * 8, [300, 290, 180, 260, 300, 150, 300, 210]])
@pytest.mark.parametrize("setting", [(None, None), (60, 16), (100, 50), (10, None)])
@each_readout
@each_engine
def test_no_more_is_held_than_the_budget(monkeypatch, engine, readout, setting, lengths):
    monkeypatch.setattr(segments, "SEGMENT_VALUES", 4096)
    monkeypatch.setattr(network_module, "CHUNK_VALUES", 8192)
    network = make_network("gru", sizes=(16,), readout=readout, engine=engine)
    dataset = make_regression(lengths, per_step=readout == "each")
    truncation = truncated(300, *setting)
    needs = BlockMemory(network, np.array(sorted(lengths, reverse=True)), truncation, has_masks=False)
    for budget in (needs.smallest, (needs.smallest + needs.full) // 2, needs.full):
        settings = TrainingSettings(batch_size=8, memory_budget=budget, truncation=FixedTruncation(*setting))
        optimizer = SGD(len(network.parameters.vector), np.float64, 0, False)
        trainer, held = Trainer(network, SquaredError(), optimizer, settings, None), []
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


def test_a_tape_is_gone_before_the_next_one_is_made(small_segments):
    """Of a ragged batch, whose segments differ in size, so that memory grows."""
    network = make_network("gru", sizes=(32,))
    lengths = np.arange(400, 40, -9)
    dataset = make_regression(tuple(lengths))
    batch = dataset.pack(np.arange(len(lengths)))
    smallest = BlockMemory(network, batch.packing.lengths, truncated(400), has_masks=False).smallest
    backpropagation = Backpropagation(network, network.prepare(), SquaredError(), smallest)
    alive, forward = [], RecurrentNetwork.forward

    def watched(*arguments):
        alive.append(sum(tape() is not None for tape in tapes))
        hidden, state, tape = forward(network, *arguments)
        if tape is not None and arguments[-2]:
            tapes.append(weakref.ref(tape.cell_tapes[0].saved[0]))
        return hidden, state, tape

    tapes = []
    network.forward = watched
    next(backpropagation.updates(batch, truncated(400), NO_MASKS))
    assert len(tapes) > 20
    assert max(alive) == 0
