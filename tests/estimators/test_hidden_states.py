"""hidden_states, and predictions made from them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from small_estimators import GATES, READOUTS, classifier, regressor, small_data

POOLS = {
    "last": lambda h: h[-1],
    "mean": lambda h: h.mean(axis=0),
    "max": lambda h: h.max(axis=0),
    "each": lambda h: h,
    ("last", "max", "mean"): lambda h: np.concatenate([h[-1], h.max(axis=0), h.mean(axis=0)]),
}


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", GATES)
def test_predictions_are_made_from_the_hidden_states(cell, readout):
    X, labels, targets = small_data(readout)
    reg = regressor(cell=cell, readout=readout, hidden_layer_sizes=(4, 3)).fit(X, targets)
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        scores = POOLS[readout](hidden) @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        expected = reg.target_mean_ + reg.target_scale_ * scores
        assert_allclose(predicted, expected[..., 0], rtol=1e-12, atol=1e-14)
    clf = classifier(cell=cell, readout=readout).fit(X, labels)
    for hidden, probabilities in zip(clf.hidden_states(X), clf.predict_proba(X)):
        scores = POOLS[readout](hidden) @ clf.weights_["readout.weight"] + clf.weights_["readout.bias"]
        assert_allclose(probabilities, softmax(scores, axis=-1), rtol=1e-12, atol=0)


def test_the_binary_probability_is_the_sigmoid_of_one_score():
    X, labels, _ = small_data()
    clf = classifier().fit(X, labels % 2)
    for hidden, (_, probability) in zip(clf.hidden_states(X), clf.predict_proba(X)):
        score = hidden[-1] @ clf.weights_["readout.weight"] + clf.weights_["readout.bias"]
        assert_allclose(probability, expit(score[0]), rtol=1e-12, atol=0)


def test_the_last_state_of_a_bidirectional_network_is_the_end_of_both_directions():
    X, _, targets = small_data()
    reg = regressor(bidirectional=True).fit(X, targets)
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        assert hidden.shape[1] == 6
        ends = np.concatenate([hidden[-1, :3], hidden[0, 3:]])
        scores = ends @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        assert_allclose(predicted, (reg.target_mean_ + reg.target_scale_ * scores)[0], rtol=1e-12, atol=1e-14)


def test_a_hidden_state_knows_only_the_steps_up_to_its_own():
    X, _, targets = small_data()
    reg = regressor().fit(X, targets)
    beginnings = [x[:2] for x in X]
    for hidden, of_beginning in zip(reg.hidden_states(X), reg.hidden_states(beginnings)):
        assert_allclose(of_beginning, hidden[:2], rtol=1e-12, atol=1e-14)
