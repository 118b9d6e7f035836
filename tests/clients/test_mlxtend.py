"""mlxtend: votes, stacks, and a selection of steps."""

import numpy as np
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

pytestmark = announcements_ignored


def two_networks():
    return [classifier(), classifier(cell="rnn", max_iter=25)]


def probabilities(X, y):
    return [network.fit(X, y).predict_proba(X) for network in two_networks()]


def test_a_vote_weights_the_probabilities_of_networks():
    X, y = two_classes()
    client = import_client("mlxtend.classifier").EnsembleVoteClassifier
    vote = client(two_networks(), voting="soft", weights=[3, 1]).fit(X, y)
    expected = np.average(probabilities(X, y), axis=0, weights=[3, 1])
    assert_allclose(vote.predict_proba(X), expected, rtol=1e-12)
    assert_array_equal(vote.predict(X), expected.argmax(axis=1))


def test_a_stack_learns_from_the_probabilities_of_networks():
    X, y = two_classes()
    client = import_client("mlxtend.classifier").StackingClassifier
    stack = client(two_networks(), LogisticRegression(), use_probas=True).fit(X, y)
    columns = np.hstack(probabilities(X, y))
    expected = LogisticRegression().fit(columns, y).predict_proba(columns)
    assert_allclose(stack.predict_proba(X), expected, rtol=1e-9)
    assert stack.score(*two_classes(seed=1)) > 0.8


def test_a_stack_with_cross_validation_predicts_new_sequences():
    client = import_client("mlxtend.classifier").StackingCVClassifier
    stack = client(two_networks(), LogisticRegression(), use_probas=True, cv=3, random_state=0).fit(*two_classes())
    assert stack.score(*two_classes(seed=1)) > 0.8


def test_feature_groups_select_whole_steps():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(90, 4, 2))
    y = (X[:, 2].sum(axis=1) > 0).astype(int)
    client = import_client("mlxtend.feature_selection").SequentialFeatureSelector
    steps = [[0, 1], [2, 3], [4, 5], [6, 7]]
    selector = client(classifier(step_features=2), k_features=1, cv=3, feature_groups=steps)
    selector.fit(X.reshape(90, 8), y)
    assert selector.k_feature_idx_ == (4, 5)
    assert selector.k_score_ > 0.85
    selected = selector.transform(X.reshape(90, 8))
    assert_array_equal(selected, X[:, 2])
