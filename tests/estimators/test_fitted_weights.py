"""weights_: names, shapes, and assignments in place."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.exceptions import NotFittedError
from small_estimators import GATES, classifier, regressor, small_data


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_have_the_documented_names_and_shapes(cell, bidirectional):
    X, labels, _ = small_data()
    clf = classifier(hidden_layer_sizes=(5, 4), cell=cell, bidirectional=bidirectional).fit(X, labels)
    n_gates, n_directions = GATES[cell], 1 + bidirectional
    expected = {"readout.weight": (4 * n_directions, 3), "readout.bias": (3,)}
    for layer, n_inputs, units in (("layer_0", 2, 5), ("layer_1", 5 * n_directions, 4)):
        for direction in (layer, f"{layer}.reverse")[:n_directions]:
            expected[f"{direction}.input"] = (n_inputs, n_gates * units)
            expected[f"{direction}.recurrent"] = (units, n_gates * units)
            expected[f"{direction}.bias"] = (n_gates * units,)
            if cell == "gru":
                expected[f"{direction}.recurrent_bias"] = (units,)
    assert {name: weights.shape for name, weights in clf.weights_.items()} == expected


@pytest.mark.parametrize(
    "make_copy",
    [lambda e: e, deepcopy, lambda e: pickle.loads(pickle.dumps(e))],
    ids=["original", "deepcopy", "pickle"],
)
def test_assigning_to_weights_in_place_changes_predictions(make_copy):
    X, labels, _ = small_data()
    clf = make_copy(classifier().fit(X, labels))
    before = clf.predict_proba(X)
    clf.weights_["readout.weight"][...] = 0
    clf.weights_["readout.bias"][...] = [3, 1, 2]
    assert not np.allclose(clf.predict_proba(X), before)
    for estimator in (clf, pickle.loads(pickle.dumps(clf)), deepcopy(clf)):
        assert_array_equal(estimator.weights_["readout.bias"], [3, 1, 2])
        assert_allclose(estimator.predict_proba(X), [softmax([3, 1, 2])] * len(X), rtol=1e-14, atol=0)
        estimator.partial_fit(X, labels)
        assert (estimator.weights_["readout.weight"] != 0).all()


@pytest.mark.parametrize("cell", GATES)
def test_weights_can_be_loaded_from_another_estimator(cell):
    X, _, targets = small_data()
    teacher = regressor(cell=cell, bidirectional=True, random_state=1).fit(X, targets)
    student = regressor(cell=cell, bidirectional=True, random_state=2).fit(X, targets)
    assert not np.allclose(student.predict(X), teacher.predict(X))
    for name, weights in teacher.weights_.items():
        student.weights_[name][...] = weights
    assert_array_equal(student.predict(X), teacher.predict(X))


def test_an_unfitted_estimator_has_no_weights():
    for estimator in (classifier(), regressor()):
        assert not hasattr(estimator, "weights_")
        with pytest.raises(NotFittedError):
            estimator.hidden_states([np.ones((2, 2))])
