"""Patches: how steps are joined, how overlapping patches begin and continue, and the automatic choice."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_rnn._data.packing import packing_of_equal_lengths
from sklearn_rnn._data.patches import PatchedSequences, Patches, choose_patches
from sklearn_rnn._data.sequences import Sequences

LENGTHS = np.array([7, 1, 4, 12])

each_patch = pytest.mark.parametrize("patches", [Patches(3, 3), Patches(5, 2), Patches(4, 1), Patches(9, 4)], ids=str)


def numbered(lengths=LENGTHS, n_features=2):
    rows = 1.0 + np.arange(lengths.sum() * n_features).reshape(-1, n_features)
    return Sequences(rows, lengths, "list")


def by_hand(rows, patches):
    """The patches of one sequence: each ends a stride after the one before, the last one at the end."""
    ends = range(len(rows), 0, -patches.stride)
    padded = np.concatenate([np.zeros((patches.size, rows.shape[1])), rows])
    return np.array([padded[end : end + patches.size].ravel() for end in ends][::-1])


@each_patch
@pytest.mark.parametrize("lengths", [LENGTHS, np.array([7, 7, 7]), np.array([1, 1]), np.array([8])], ids=str)
def test_patches_end_a_stride_apart_with_zeros_in_front(patches, lengths):
    sequences = numbered(lengths)
    patched = patches.of(sequences).load(np.arange(len(lengths)))
    expected = [by_hand(rows, patches) for rows in np.split(sequences.rows, sequences.starts[1:])]
    assert patched.lengths.tolist() == [len(rows) for rows in expected]
    assert_array_equal(patched.rows, np.concatenate(expected))
    assert patched.rows.flags.c_contiguous
    assert patched.rows.flags.writeable


def test_patches_of_one_step_are_the_steps():
    sequences = numbered()
    assert Patches().of(sequences) is sequences
    assert Patches().join(sequences) is sequences


@each_patch
def test_patches_are_made_for_a_batch_alone(patches):
    sequences = numbered(np.array([8, 8, 8]))
    patched = patches.of(sequences)
    assert isinstance(patched, PatchedSequences)
    packing = packing_of_equal_lengths(2, patched.lengths[0])
    rows = patched.subset(np.array([2, 1, 0])).packed_rows(np.array([0, 2]), packing)
    third, first = (by_hand(sequences.rows[start : start + 8], patches) for start in (16, 0))
    assert_array_equal(rows.reshape(len(third), 2, -1), np.stack([third, first], axis=1))
    alone = patched.packed_rows(np.array([2]), packing_of_equal_lengths(1, patched.lengths[0]))
    assert_array_equal(alone, third)
    assert alone.flags.c_contiguous


@pytest.mark.parametrize("patches", [Patches(5, 2), Patches(4, 1), Patches(9, 4)], ids=str)
def test_sequences_that_continue_have_the_patches_of_whole_ones(patches):
    lengths = np.array([3, 1, 2]) * patches.stride
    sequences = numbered(lengths)
    whole = patches.join(sequences)
    previous = np.zeros((3, patches.n_shared, 2))
    heads, tails = lengths // (2 * patches.stride) * patches.stride, []
    parts = np.split(sequences.rows, sequences.starts[1:])
    for chunk in ([x[:n] for x, n in zip(parts, heads)], [x[n:] for x, n in zip(parts, heads)]):
        steps = Sequences(np.concatenate(chunk), np.array([len(x) for x in chunk]), "list")
        joined = patches.continue_from(previous, steps)
        tails.append(np.split(joined.rows, joined.starts[1:]))
    assert_array_equal(np.concatenate([np.concatenate(pair) for pair in zip(*tails)]), whole.rows)
    for steps, x in zip(previous, parts):
        padded = np.concatenate([np.zeros((patches.n_shared, 2)), x])
        assert_array_equal(steps, padded[len(x) :])


def parameters(**settings):
    defaults = {"patch_size": "auto", "patch_stride": None, "readout": "last", "truncation": None, "stateful": False}
    return SimpleNamespace(**defaults | settings)


def chosen(lengths, weights=None, **settings):
    lengths = np.array(lengths)
    return choose_patches(parameters(**settings), lengths, np.ones(len(lengths)) if weights is None else weights)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (1, (1, 1)),
        (50, (1, 1)),
        (74, (1, 1)),
        (80, (10, 2)),
        (150, (15, 3)),
        (1000, (100, 20)),
        (100_000, (10_000, 2000)),
    ],
)
def test_auto_leaves_about_50_network_steps_of_long_series(length, expected):
    assert chosen([length]) == expected


def test_auto_goes_by_the_weighted_median():
    assert chosen([20, 500, 500]) == (50, 10)
    assert chosen([20, 500, 500], np.array([3.0, 1.0, 1.0])) == (1, 1)
    assert chosen([20, 500, 500], np.array([2.0, 1.0, 0.0])) == chosen([20, 20, 500]) == (1, 1)


@pytest.mark.parametrize(
    "settings", [{"readout": "each"}, {"truncation": 5}, {"truncation": "auto"}, {"stateful": True}]
)
def test_auto_leaves_steps_alone_that_have_a_meaning(settings):
    assert chosen([1000], **settings) == (1, 1)


def test_a_stride_that_is_given_decides_the_automatic_size():
    assert chosen([1000], patch_stride=2) == (10, 2)
    assert chosen([1000], patch_stride=1) == (1, 1)


def test_without_a_stride_patches_do_not_overlap():
    assert chosen([1000], patch_size=4) == (4, 4)
    assert chosen([1000], patch_size=4, patch_stride=3) == (4, 3)


@pytest.mark.parametrize("patches", [Patches(), Patches(3, 3), Patches(5, 2), Patches(4, 1), Patches(9, 4)], ids=str)
def test_sums_by_step_are_the_transpose_of_the_patches(patches):
    sequences = numbered()
    patched = patches.join(sequences)
    values = np.random.default_rng(0).integers(-9, 9, patched.rows.shape).astype(float)
    by_step = patches.sum_by_step(values, LENGTHS)
    assert by_step.shape == sequences.rows.shape
    assert (by_step * sequences.rows).sum() == (values * patched.rows).sum()  # <P'v, x> = <v, P x>, in whole numbers
    assert_array_equal(by_step[3], sum(v[k : k + 2] for v, k in contained_in(patches, values, patched, row=3)))


def contained_in(patches, values, patched, row):
    """The values of the patches of the first sequence that contain a row, and the place of the row in them."""
    n_patches = patched.lengths[0]
    for i in range(n_patches):
        start = LENGTHS[0] - (n_patches - 1 - i) * patches.stride - patches.size
        if 0 <= row - start < patches.size:
            yield values[i], 2 * (row - start)
