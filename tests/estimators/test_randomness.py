"""Dropout, shuffling and random_state."""

import numpy as np
from numpy.testing import assert_array_equal
from small_estimators import assert_same_weights, classifier, have_same_weights, regressor, small_data


def test_dropout_is_for_training_only():
    X, labels, _ = small_data()
    settings = {"hidden_layer_sizes": (4, 3), "readout": "mean"}
    clf = classifier(dropout=0.5, **settings).fit(X, labels)
    probabilities = clf.predict_proba(X)
    assert_array_equal(clf.predict_proba(X), probabilities)
    assert_array_equal(clf.set_params(dropout=0.0).predict_proba(X), probabilities)
    without = classifier(**settings).fit(X, labels)
    assert not have_same_weights(clf, without)


def test_dropout_draws_anew_for_every_epoch():
    X, _, targets = small_data()
    settings = {"solver": "sgd", "learning_rate_init": 1e-300}
    assert len(set(regressor(dropout=0.5, **settings).fit(X, targets).loss_curve_)) == 3
    assert len(set(regressor(dropout=0.0, **settings).fit(X, targets).loss_curve_)) == 1


def test_shuffling_matters_to_batches_and_can_be_left_out():
    X, labels, _ = small_data()
    in_order = classifier(batch_size=4, shuffle=False).fit(X, labels)
    assert not have_same_weights(classifier(batch_size=4).fit(X, labels), in_order)
    assert_same_weights(classifier(batch_size=4, shuffle=False).fit(X, labels), in_order)


def test_the_order_of_a_full_batch_is_left_alone():
    X, labels, _ = small_data()
    assert_same_weights(classifier(shuffle=True).fit(X, labels), classifier(shuffle=False).fit(X, labels))


def test_random_state_draws_the_start_values():
    X, labels, _ = small_data()
    by_seed = classifier(random_state=3).fit(X, labels)
    by_generator = classifier(random_state=np.random.RandomState(3)).fit(X, labels)
    assert_same_weights(by_generator, by_seed)
    assert not have_same_weights(classifier(random_state=4).fit(X, labels), by_seed)
    assert not have_same_weights(*(classifier(random_state=None).fit(X, labels) for _ in range(2)))
