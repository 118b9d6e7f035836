"""Segments: every row once, cut at borders; their tapes come from the last to the first."""

import itertools
import weakref

import numpy as np
import pytest
from held_memory import LENGTHS
from helpers import NO_MASKS, make_network, make_regression, truncated

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.memory.model import BlockMemory, MemoryPlan
from sklearn_rnn._training.memory.segments import SegmentedPass, cut_into_segments


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
            assert runs.n_runs == plan.n_runs(n_segments)


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
