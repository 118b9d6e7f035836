"""Small data for the checks: sequences of normal values, and targets."""

from __future__ import annotations

import numpy as np

# Not sorted; one sequence has a single step, several have the same length.
LENGTHS = (5, 3, 7, 5, 1, 4, 6, 2, 5, 3, 4, 8)
EQUAL_LENGTHS = (6,) * 12
# For estimators that do not read short sequences.
LONGER = 20
LABELS = ("one", "three", "two")


def random_sequences(lengths, n_features, *, seed=0, dtype=np.float64):
    """Return a standard normal array (n_steps_i, n_features) for each length."""
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(n, n_features)).astype(dtype) for n in lengths]


def random_labels(n, seed):
    """Return n labels of three classes, each as often as the others."""
    labels = np.array(LABELS)[np.arange(n) % len(LABELS)]
    np.random.default_rng(seed).shuffle(labels)
    return labels


def taken(items, indices):
    """Return the items of a list or an array at ``indices``."""
    return [items[i] for i in indices] if isinstance(items, list) else items[indices]


def object_array(items):
    """Return a 1-D array of objects."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
