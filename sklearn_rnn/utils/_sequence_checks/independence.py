"""Checks that no sequence depends on another one."""

from __future__ import annotations

import numpy as np

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import assert_equal_but_for_rounding, assert_same_bits
from sklearn_rnn.utils._sequence_checks.data import taken


@sequence_check()
def check_each_sequence_is_its_own(subject):
    """A sequence alone has the outputs that it has in a batch."""
    cases = [(subject.lengths, dtype) for dtype in subject.dtypes]
    if subject.can("ragged"):
        cases.append((subject.equal_lengths, np.float64))
    for lengths, dtype in cases:
        X, y = subject.make_data(lengths, dtype)
        estimator = subject.fitted(X, y)
        all_at_once = subject.outputs(estimator, X)
        for i, sequence in enumerate(X):
            expected = {method: values[i : i + 1] for method, values in all_at_once.items()}
            assert_equal_but_for_rounding(subject.outputs(estimator, [sequence]), expected, dtype)


@sequence_check()
def check_the_order_of_the_sequences_does_not_matter(subject):
    """Sequences in another order have the same outputs, in that order."""
    for dtype in subject.dtypes:
        X, y = subject.make_data(dtype=dtype)
        estimator = subject.fitted(X, y)
        order = np.random.default_rng(7).permutation(len(X))
        expected = {method: taken(values, order) for method, values in subject.outputs(estimator, X).items()}
        assert_equal_but_for_rounding(subject.outputs(estimator, taken(X, order)), expected, dtype)


@sequence_check("ragged")
def check_a_fitted_model_takes_other_lengths(subject):
    """A fitted estimator takes sequences that are longer or shorter than those of fit, in any container."""
    X, y = subject.make_data(subject.equal_lengths)
    others = subject.sequences(subject.lengthened((11, 1, 40, 2)), seed=3)
    from_list = subject.fitted(X, y)
    from_array = subject.fitted(np.stack(X), y) if subject.can("containers") else from_list
    expected = subject.outputs(from_list, others)
    for method, values in expected.items():
        assert len(values) == len(others), f"{method} returns {len(values)} items for {len(others)} sequences"
        finite = all(np.isfinite(v).all() for v in values if np.asarray(v).dtype.kind == "f")
        assert finite, f"{method} returns values that are not finite"
    assert_same_bits(subject.outputs(from_array, others), expected)
    if subject.can("containers"):
        longer = subject.sequences((30, 30, 30), seed=4)
        assert_same_bits(subject.outputs(from_array, np.stack(longer)), subject.outputs(from_list, longer))
