"""The sequence checks, over the ways in which the estimators can be configured."""

from unittest.mock import patch

import numpy as np
import pytest
from helpers import PLAIN
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import blocks
from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences
from sklearn_rnn.utils._sequence_checks.subject import Subject
from sklearn_rnn.utils._sequence_checks.training import assert_bits_do_not_depend_on_n_jobs
from sklearn_rnn.utils.estimator_checks import parametrize_with_sequence_checks

TWO_EPOCHS = {"max_iter": 2, "n_iter_no_change": np.inf}
SMALL = PLAIN | {"hidden_layer_sizes": (4,), "random_state": 0} | TWO_EPOCHS


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


CONFIGURATIONS = {
    "gru": classifier(cell="gru"),
    "lstm": classifier(cell="lstm"),
    "rnn": classifier(cell="rnn"),
    "relu": regressor(cell="rnn", activation="relu"),
    "regressor": regressor(cell="gru"),
    "huber": regressor(loss="huber", cell="lstm"),
    "bidirectional": classifier(bidirectional=True),
    "two layers": regressor(hidden_layer_sizes=(4, 3)),
    "two bidirectional layers": classifier(hidden_layer_sizes=(3, 2), bidirectional=True, cell="lstm"),
    "mean": classifier(readout="mean"),
    "max": regressor(readout="max"),
    "each": classifier(readout="each"),
    "regressor for each": regressor(readout="each", cell="rnn"),
    "bidirectional for each": classifier(readout="each", bidirectional=True, cell="rnn"),
    "patches": classifier(patch_size=3),
    "patches and max": regressor(patch_size=2, readout="max"),
    "patches that overlap, and three readouts": classifier(
        patch_size=3, patch_stride=2, readout=("last", "mean", "max"), bidirectional=True
    ),
    "automatic patches": regressor(patch_size="auto", patch_stride=2, readout=("max", "last")),
    "truncation": classifier(truncation=2),
    "truncation with stride": regressor(truncation=3, truncation_stride=2, readout="mean"),
    "truncation for each": classifier(truncation=3, truncation_stride=2, readout="each", cell="lstm"),
    "a categorical feature": classifier(categorical_features=[-1]),
    "categories in patches that overlap": regressor(
        categorical_features=[-1], embedding_size=2, patch_size=3, patch_stride=2, bidirectional=True, readout="max"
    ),
    "categories for each": regressor(categorical_features=[-1], truncation=3, readout="each", cell="lstm"),
    "dropout": classifier(dropout=0.5, hidden_layer_sizes=(4, 3)),
    "dropout for each": regressor(dropout=0.3, readout="each", truncation=2),
    "small batches": classifier(batch_size=5, alpha=0.1),
    "sgd": classifier(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1),
    "rmsprop": regressor(solver="rmsprop", clip_value=0.1),
    "lbfgs": regressor(solver="lbfgs", max_iter=200, tol=0.02, alpha=0.1),
    "two jobs": classifier(n_jobs=2),
    "scaler": TimeDistributed(StandardScaler()),
    "layout": ToSequences("case_time_channel"),
    "forward fill": ForwardFill(add_indicator=True, add_elapsed=True),
    "features": RecurrentFeatures(8, n_scales=1, random_state=0),
    "pipeline": make_pipeline(TimeDistributed(StandardScaler()), classifier()),
}


# With the real sizes, only batches of dozens of wide sequences are divided into blocks for threads.
SMALL_BLOCKS = {"SMALLEST_BLOCK": 2, "USUAL_BLOCK": 2, "LARGEST_BLOCK": 4}
SMALL_BLOCKS |= dict.fromkeys(["SMALLEST_WORK", "SMALLEST_TRAINING", "SMALLEST_SHARED_TRAINING"], 1)


@parametrize_with_sequence_checks(CONFIGURATIONS)
def test_an_estimator_does_with_sequences_what_the_check_says(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "configuration", [name for name, estimator in CONFIGURATIONS.items() if Subject(estimator).can("n_jobs")]
)
def test_n_jobs_does_not_change_a_bit_of_small_blocks(configuration):
    subject = Subject(CONFIGURATIONS[configuration])
    with patch.multiple("sklearn_rnn._network.blocks", **SMALL_BLOCKS):
        assert_bits_do_not_depend_on_n_jobs(subject, subject.lengths)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_n_jobs_does_not_change_a_bit_of_a_batch_that_is_cut_into_blocks(cell, monkeypatch):
    numbers_of_blocks = []

    def counting(original):
        def cut(*arguments):
            blocks = original(*arguments)
            numbers_of_blocks.append(len(blocks))
            return blocks

        return cut

    monkeypatch.setattr("sklearn_rnn._training.trainer.training_blocks", counting(blocks.training_blocks))
    monkeypatch.setattr("sklearn_rnn._inference.prediction.prediction_blocks", counting(blocks.prediction_blocks))
    monkeypatch.setattr(blocks, "SMALLEST_SHARED_TRAINING", 2**24)
    lengths = (2, 3, 1) * 100
    estimator = classifier(cell=cell, hidden_layer_sizes=(200,), batch_size=len(lengths))
    assert_bits_do_not_depend_on_n_jobs(Subject(estimator), lengths)
    assert max(numbers_of_blocks) > 1  # fit also predicts a few sequences, in one block
