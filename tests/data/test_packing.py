import numpy as np
import pytest
from helpers import RAGGED, make_dataset, make_sequences
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_rnn._data.packing import Packing

each_example = settings(max_examples=50, deadline=None, derandomize=True, database=None)
lengths_in_any_order = st.lists(st.integers(1, 6), min_size=1, max_size=6)
# Lengths in a window: longest first, and 0 for sequences that have ended.
lengths_of_a_window = st.lists(st.integers(0, 6), min_size=1, max_size=6).map(
    lambda lengths: np.array(sorted(lengths, reverse=True))
)


def steps_of(packing):
    """(step, sequence) of every row."""
    return list(zip(packing.step_of_row.tolist(), packing.sequence_of_row.tolist(), strict=True))


def make_ragged_dataset(lengths, *, per_step=False):
    """Sequences, targets and weights whose values are all different."""
    n = sum(lengths) if per_step else len(lengths)
    targets = np.arange(2.0 * n).reshape(n, 2)
    return make_dataset(make_sequences(lengths), targets, np.arange(1.0, n + 1), per_step=per_step)


@given(lengths_in_any_order)
@each_example
def test_unpacking_restores_the_sequences(lengths):
    sequences = make_sequences(lengths)
    batch = make_ragged_dataset(lengths).pack(np.arange(len(lengths)))
    for place, original in enumerate(batch.order):
        rows = batch.rows[batch.packing.sequence_of_row == place]
        assert_array_equal(rows, sequences[original])


@given(lengths_in_any_order)
@each_example
def test_batches_are_sorted_longest_first_and_ties_keep_their_order(lengths):
    batch = make_ragged_dataset(lengths).pack(np.arange(len(lengths)))
    expected = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    assert batch.order.tolist() == expected
    assert batch.packing.lengths.tolist() == sorted(lengths, reverse=True)


@given(lengths_of_a_window)
@each_example
def test_a_step_is_a_slice_of_the_rows_of_the_first_sequences(lengths):
    packing = Packing(lengths)
    expected = [
        (step, sequence) for step in range(max(lengths)) for sequence in range(len(lengths)) if step < lengths[sequence]
    ]
    assert steps_of(packing) == expected
    assert packing.n_rows == len(expected) == lengths.sum()
    assert packing.n_steps == lengths[0]
    for step, (start, stop) in enumerate(packing.slices):
        assert expected[start:stop] == [(step, i) for i in range(packing.batch_sizes[step])]
    assert len(packing.slices) == packing.n_steps
    assert packing.is_dense == (len(set(lengths)) == 1)


@given(lengths_of_a_window)
@each_example
def test_steps_of_an_array_are_views_of_the_rows_of_each_step(lengths):
    packing = Packing(lengths)
    array = np.arange(packing.n_rows * 6).reshape(packing.n_rows, 2, 3)
    # The second is not contiguous: values written to a copy of it would be lost.
    for rows in (array, array[:, 1]):
        steps = packing.steps(rows)
        assert len(steps) == packing.n_steps
        for step, (start, stop) in zip(steps, packing.slices, strict=True):
            assert_array_equal(step, rows[start:stop])
            assert np.shares_memory(step, array)


@given(lengths_of_a_window)
@each_example
def test_reversing_rows_turns_every_sequence_round_and_twice_is_no_change(lengths):
    packing = Packing(lengths)
    reverse = packing.reversed_rows
    assert_array_equal(reverse[reverse], np.arange(packing.n_rows))
    steps = steps_of(packing)
    for row, (step, sequence) in zip(reverse, steps, strict=True):
        assert steps[row] == (lengths[sequence] - 1 - step, sequence)


@pytest.mark.parametrize("lengths", [[5, 4, 4, 1], [3, 3, 3], [1], [0, 0]], ids=str)
def test_reversed_rows_are_written_to_some_columns_of_an_array(lengths):
    packing = Packing(np.array(lengths))
    rows = np.random.default_rng(0).normal(size=(packing.n_rows, 2))
    array = np.zeros((packing.n_rows, 5))
    assert packing.write_reversed(rows, array[:, 1:3]).base is array
    assert_array_equal(array, np.pad(rows[packing.reversed_rows], ((0, 0), (1, 2))))


@given(lengths_of_a_window)
@each_example
def test_previous_rows_hold_each_sequence_one_step_earlier(lengths):
    packing = Packing(lengths)
    initial = [(-1, sequence) for sequence in range(len(lengths))]
    states = initial + steps_of(packing)
    previous = [states[i] for i in packing.previous_rows]
    assert previous == [(step - 1, sequence) for step, sequence in steps_of(packing)]


@given(lengths_of_a_window)
@each_example
def test_a_window_is_the_packing_of_its_own_slice_of_rows(lengths):
    packing = Packing(lengths)
    steps = steps_of(packing)
    for start in range(packing.n_steps + 1):
        for stop in range(start, packing.n_steps + 1):
            window = packing.window(start, stop)
            shifted = [(start + step, sequence) for step, sequence in steps_of(window)]
            assert steps[packing.rows_of_steps(start, stop)] == shifted
            assert window.n_sequences == packing.n_sequences
            assert_array_equal(window.lengths, [len(range(start, min(stop, length))) for length in lengths])


@given(lengths_of_a_window, st.integers(1, 7))
@each_example
def test_split_tails_are_the_last_steps_of_each_sequence(lengths, n_steps):
    packing = Packing(lengths)
    steps = steps_of(packing)
    head, tail, head_rows, tail_rows = packing.split_tails(n_steps)
    assert_array_equal(tail.lengths, np.minimum(lengths, n_steps))
    assert_array_equal(head.lengths + tail.lengths, lengths)
    assert [steps[row] for row in head_rows] == steps_of(head)
    cut = lengths - tail.lengths
    assert [steps[row] for row in tail_rows] == [(cut[sequence] + step, sequence) for step, sequence in steps_of(tail)]


@pytest.mark.parametrize("per_step", [False, True])
def test_targets_and_weights_go_with_their_sequences_or_steps(per_step):
    dataset = make_ragged_dataset(RAGGED, per_step=per_step)
    chosen = np.array([3, 0, 2, 4])
    batch = dataset.pack(chosen)
    assert batch.order.tolist() == [2, 0, 4, 3]
    starts = np.cumsum([0, *RAGGED[:-1]])
    expected = batch.order
    if per_step:
        expected = starts[batch.order][batch.packing.sequence_of_row] + batch.packing.step_of_row
    assert len(expected) == (20 if per_step else 4)
    assert_array_equal(batch.targets, dataset.targets[expected])
    assert_array_equal(batch.weights, dataset.weights[expected])


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("lengths", [RAGGED, (4, 4, 4, 4, 4)])
def test_a_subset_holds_the_chosen_sequences_in_their_new_order(lengths, per_step):
    dataset = make_ragged_dataset(lengths, per_step=per_step)
    chosen = np.array([3, 0, 2])
    subset = dataset.subset(chosen)
    parts = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    rows = np.concatenate([parts[i] for i in chosen])
    samples = rows if per_step else chosen
    assert len(subset) == 3
    assert subset.per_step == per_step
    assert subset.sequences.lengths.tolist() == [lengths[i] for i in chosen]
    assert_array_equal(subset.sequences.rows, dataset.sequences.rows[rows])
    assert_array_equal(subset.targets, dataset.targets[samples])
    assert_array_equal(subset.weights, dataset.weights[samples])


def test_packing_keeps_the_type_of_floats():
    sequences = make_sequences((2, 3), dtype=np.float32)
    batch = make_dataset(sequences, np.ones((2, 1))).pack(np.arange(2))
    assert batch.rows.dtype == batch.targets.dtype == batch.weights.dtype == np.float32
