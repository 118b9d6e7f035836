"""Parameters of the estimators: getting, setting, cloning and representation."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import assert_same_weights, classifier, regressor, small_data

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.preprocessing import TimeDistributed


@pytest.mark.parametrize("estimator_class", [RNNClassifier, RNNRegressor])
def test_parameters_can_be_got_and_set(estimator_class):
    estimator = estimator_class()
    params = estimator.get_params()
    assert params["hidden_layer_sizes"] == (64,)
    assert params["cell"] == "gru"
    assert ("class_weight" in params) == (estimator_class is RNNClassifier)
    assert ("loss" in params) == (estimator_class is RNNRegressor)
    assert estimator.set_params(cell="lstm", alpha=0.5) is estimator
    assert estimator.get_params() == params | {"cell": "lstm", "alpha": 0.5}
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.raises(ValueError, match=r"^Invalid parameter 'n_layers' for estimator"):
        estimator.set_params(n_layers=2)


@pytest.mark.parametrize("sizes", [4, (4,), [4], np.array([4]), np.int64(4)], ids=repr)
def test_layer_sizes_may_be_a_number_or_any_sequence(sizes):
    X, labels, _ = small_data()
    reference = classifier(hidden_layer_sizes=(4,)).fit(X, labels)
    clf = clone(classifier(hidden_layer_sizes=sizes)).fit(X, labels)
    assert_same_weights(clf, reference)
    clf.partial_fit(X, labels)
    assert clf.n_iter_ == 4


def test_the_representations_tell_the_parameters_that_were_set():
    clf = classifier(cell="lstm")
    for estimator in (clf, clone(clf).fit(*small_data()[:2])):
        assert "cell='lstm'" in repr(estimator)
        assert "alpha" not in repr(estimator)
        html = estimator._repr_html_()
        assert html.startswith("<style>")
        assert "RNNClassifier" in html
        assert "lstm" in html
    pipeline_html = make_pipeline(TimeDistributed(StandardScaler()), regressor())._repr_html_()
    assert "RNNRegressor" in pipeline_html
    assert "TimeDistributed" in pipeline_html


def test_predictions_are_those_of_the_fitted_network_whatever_is_set_afterwards():
    X, _, targets = small_data()
    reg = regressor(patch_size=2, loss="poisson").fit(X, np.abs(targets))
    expected = reg.predict(X)
    reg.set_params(patch_size=1, loss="squared_error", readout="each", step_features=3)
    assert_array_equal(reg.predict(X), expected)


@pytest.mark.parametrize("name", ["last", "max"])
def test_a_tuple_of_one_readout_is_this_readout(name):
    X, labels, _ = small_data()
    clf = classifier(readout=(name,)).fit(X, labels)
    assert_same_weights(clf, classifier(readout=name).fit(X, labels))
    assert_same_weights(
        clf.set_params(readout=name).partial_fit(X, labels), classifier(readout=name, max_iter=4).fit(X, labels)
    )


def test_a_list_of_readouts_is_the_tuple():
    X, labels, _ = small_data()
    assert_same_weights(
        classifier(readout=["last", "max"]).fit(X, labels), classifier(readout=("last", "max")).fit(X, labels)
    )


@pytest.mark.parametrize(
    ("settings", "is_bidirectional"),
    [
        ({}, True),
        ({"readout": ("last", "max")}, True),
        ({"readout": "each"}, False),
        ({"truncation": 2}, False),
        ({"memory_budget": "1MB"}, False),
    ],
    ids=str,
)
def test_automatic_networks_are_bidirectional_unless_the_order_of_time_counts(settings, is_bidirectional):
    X, labels, _ = small_data(settings.get("readout", "last"))
    automatic = classifier(bidirectional="auto", **settings).fit(X, labels)
    assert_same_weights(automatic, classifier(bidirectional=is_bidirectional, **settings).fit(X, labels))


def test_automatic_networks_of_streams_read_forward():
    X, labels, _ = small_data()
    clf = classifier(bidirectional="auto", stateful=True).partial_fit(X, labels, classes=[0, 1, 2])
    assert "layer_0.reverse.input" not in clf.weights_
    clf.set_params(stateful=False)
    with pytest.raises(ValueError, match=r"^bidirectional=True, as 'auto' chooses now, but the fitted network has"):
        clf.partial_fit(X, labels)
