"""Integrated gradients: the integral of the gradient along the way from a baseline, by a fixed or an adaptive rule.

A network that latches (a unit that stays on after an event) changes its output within a tiny section of the way. No
rule of a fixed number of points finds it. The adaptive rule halves those sections whose integrals are not yet right. It
knows the error of their sum: along a section, the gradients must add up to the difference of the outputs at its ends.
Errors of single values may cancel in this sum, so the rule also compares each section with its halves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn.inspection._explanations.input_gradients import Sections, Ways, rows_of

# Of the adaptive rule: points of the whole way and of each half, and the number of times that a section is halved.
POINTS_OF_WAY, POINTS_OF_HALF = 20, 12
MOST_HALVINGS = 20
# The largest error of the sum of a section, and the largest difference of a section from its halves (the sum over all
# values), both relative to the sum of the sizes of all attributions of the sequence. With a tenth of the first,
# readouts with "max" take more than twice the time, and single values are not more exact.
TOLERANCE_OF_SUM, TOLERANCE_OF_VALUES = 1e-3, 1e-2
# Values of X whose sections are kept at once.
VALUES_AT_ONCE = 2**20


def integrate(ways: Ways, changes: np.ndarray, n_points: int | str) -> tuple[np.ndarray, np.ndarray]:
    """Return the integrated gradients of all sequences, and their errors.

    Parameters
    ----------
    ways : Ways
    changes : ndarray of shape (n_sequences,)
        The outputs of X, minus those of the baseline.
    n_points : int or "auto"

    Returns
    -------
    values : ndarray of shape (n_rows, n_features), float64
    errors : ndarray of shape (n_sequences,), float64
        ``changes``, minus the sum of the values of each sequence.
    """
    sequences = ways.sequences
    if isinstance(n_points, str):
        values = np.empty((sequences.n_rows, sequences.n_features))
        for indices in _parts(sequences):
            values[rows_of(sequences.starts[indices], sequences.lengths[indices])] = _adaptive(ways, indices)
    else:
        values = ways.gradients(Sections.whole(np.arange(len(sequences))), n_points)
    return values, changes - _sums(values, sequences.lengths)


def _parts(sequences: Any) -> list[np.ndarray]:
    """Cut the sequences into parts of about ``VALUES_AT_ONCE`` values."""
    ends = np.cumsum(sequences.lengths) * sequences.n_features
    return np.split(np.arange(len(sequences)), np.flatnonzero(np.diff(ends // VALUES_AT_ONCE)) + 1)


def _adaptive(ways: Ways, indices: np.ndarray) -> np.ndarray:
    """Return the integrated gradients of some sequences by the adaptive rule, sequence after sequence."""
    lengths = ways.sequences.lengths[indices]
    accepted = np.split(np.zeros((int(lengths.sum()), ways.sequences.n_features)), np.cumsum(lengths)[:-1])
    owners, sections = np.arange(len(indices)), Sections.whole(indices)
    ends = ways.outputs(sections._replace(stops=sections.starts)), ways.outputs(sections)
    parts = _integrals(ways, sections, POINTS_OF_WAY)
    for n_halvings in range(MOST_HALVINGS):
        sections, ends = _halved(ways, sections, *ends)
        wholes, parts = parts, _integrals(ways, sections, POINTS_OF_HALF)
        differences = [np.abs(w - a - b).sum() for w, a, b in zip(wholes, parts[::2], parts[1::2])]
        owners = np.repeat(owners, 2)
        sizes = np.array([np.abs(values).sum() for values in accepted])
        np.add.at(sizes, owners, [np.abs(part).sum() for part in parts])
        errors = np.abs(ends[1] - ends[0] - [part.sum() for part in parts])
        fails = errors > TOLERANCE_OF_SUM * sizes[owners]
        fails |= np.repeat(differences, 2) > TOLERANCE_OF_VALUES * sizes[owners]
        if n_halvings == MOST_HALVINGS - 1:
            fails[:] = False
        for place in np.flatnonzero(~fails):
            accepted[owners[place]] += parts[place]
        failing = np.flatnonzero(fails)
        if len(failing) == 0:
            break
        sections, owners, parts = sections.take(failing), owners[failing], [parts[place] for place in failing]
        ends = ends[0][failing], ends[1][failing]
    return np.concatenate(accepted)


def _integrals(ways: Ways, sections: Sections, n_points: int) -> list[np.ndarray]:
    """Return the integral over each section, (n_steps, n_features)."""
    lengths = ways.sequences.lengths[sections.sequences]
    return np.split(ways.gradients(sections, n_points), np.cumsum(lengths)[:-1])


def _halved(
    ways: Ways, sections: Sections, before: np.ndarray, after: np.ndarray
) -> tuple[Sections, tuple[np.ndarray, np.ndarray]]:
    """Return both halves of each section, and the outputs at their starts and ends."""
    middles = (sections.starts + sections.stops) / 2
    between = ways.outputs(sections._replace(stops=middles))
    halves = Sections(
        np.repeat(sections.sequences, 2),
        np.column_stack([sections.starts, middles]).ravel(),
        np.column_stack([middles, sections.stops]).ravel(),
    )
    return halves, (np.column_stack([before, between]).ravel(), np.column_stack([between, after]).ravel())


def _sums(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the sum of the values of each sequence, (n_sequences,)."""
    return np.add.reduceat(values.sum(axis=1), np.cumsum(lengths) - lengths)
