"""Revolve: the closed forms are the best of all places."""

from functools import cache

import pytest

from sklearn_rnn._training.memory.revolve import advance, fewest_runs


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
