"""Checks of streams, which predict step by step."""

from __future__ import annotations

from sklearn_rnn.utils._sequence_checks.check import sequence_check
from sklearn_rnn.utils._sequence_checks.comparisons import assert_equal_but_for_rounding


@sequence_check("stream")
def check_a_stream_predicts_as_predict_does(subject):
    """A stream that gets the steps one by one predicts as ``predict`` does for the steps so far."""
    X, y = subject.make_data()
    estimator = subject.fitted(X, y)
    sequence = max(X, key=len)
    stream = estimator.stream()
    for n in range(1, len(sequence) + 1):
        values = stream.step(sequence[n - 1 : n])
        expected = estimator.predict([sequence[:n]])
        if subject.is_per_step("predict"):
            expected = [expected[0][-1]]
        assert_equal_but_for_rounding({"step": values}, {"step": expected})
