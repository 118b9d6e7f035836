"""``memory_budget``: texts and numbers, and refusals of budgets that are too small."""

import re

import numpy as np
import pytest
from helpers import plain_classifier, plain_regressor

from sklearn_rnn._training import session
from sklearn_rnn._training.memory.budget import in_bytes

# Training ends here after a number of epochs, not when it has converged.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")


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
    estimator = plain_classifier(memory_budget=text)
    with pytest.raises(
        ValueError, match=re.escape(f"memory_budget={text!r} is not a number with one of the units B, kB")
    ):
        estimator.fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize("budget", [0, -5, 1.5])
def test_numbers_that_are_no_budget(budget):
    with pytest.raises(ValueError, match="The 'memory_budget' parameter"):
        plain_classifier(memory_budget=budget).fit([[0.0], [1.0]], [0, 1])


def test_a_budget_that_is_too_small_is_refused_before_training():
    X, y = np.random.default_rng(0).normal(size=(3, 50, 2)), [0, 1, 0]
    estimator = plain_classifier(memory_budget=100)
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


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_block_too_little_is_told_in_words_while_training(n_jobs, monkeypatch):
    """Where the check beforehand should ever miss it."""
    monkeypatch.setattr(session, "memory_estimate", lambda *_: None)
    estimator = plain_regressor(memory_budget=1000, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="memory_budget=1000 bytes is too little"):
        estimator.fit(np.random.default_rng(0).normal(size=(40, 50, 2)), np.arange(40.0))
    assert not hasattr(estimator, "weights_")


def test_bidirectional_networks_refuse_a_budget():
    with pytest.raises(ValueError, match="memory_budget='1MB' does not go with bidirectional=True, whose reverse pass"):
        plain_classifier(memory_budget="1MB", bidirectional=True).fit([[0.0], [1.0]], [0, 1])
