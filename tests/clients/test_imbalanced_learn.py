"""imbalanced-learn: random samplers draw whole sequences from a column of objects."""

import numpy as np
from client_data import announcements_ignored, classifier, import_client, take, two_classes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import recall_score
from sklearn.model_selection import cross_val_score

from sklearn_rnn.preprocessing import to_object_column

pytestmark = announcements_ignored


def imbalanced(n=300, seed=0):
    """Short sequences of the two classes, of the second a tenth of the first."""
    X, y = two_classes(n, lengths=(1, 4), seed=seed)
    kept = np.flatnonzero((y == 0) | (np.arange(n) % 10 == 5))
    return take(X, kept), y[kept]


def test_oversampling_repeats_whole_sequences():
    X, y = imbalanced()
    sampler = import_client("imblearn.over_sampling").RandomOverSampler(random_state=0)
    column, balanced = sampler.fit_resample(to_object_column(X), y)
    assert_array_equal(np.bincount(balanced), [150, 150])
    assert all(x is X[i] for x, i in zip(column[:, 0], sampler.sample_indices_))
    assert_array_equal(balanced, y[sampler.sample_indices_])


def test_a_pipeline_trains_on_balanced_sequences_and_predicts_all():
    X, y = imbalanced()
    sampler = import_client("imblearn.over_sampling").RandomOverSampler(random_state=0)
    pipeline = import_client("imblearn.pipeline").make_pipeline(sampler, classifier())
    pipeline.fit(to_object_column(X), y)
    drawn = pipeline[0].sample_indices_
    by_hand = classifier().fit(take(X, drawn), y[drawn])
    X_test, y_test = imbalanced(600, seed=1)
    assert_array_equal(pipeline.predict_proba(to_object_column(X_test)), by_hand.predict_proba(X_test))
    direct = classifier().fit(X, y)
    found = recall_score(y_test, pipeline.predict(to_object_column(X_test)))
    assert found > recall_score(y_test, direct.predict(X_test)) + 0.2


def test_cross_validation_samples_the_training_sequences_alone():
    X, y = imbalanced()
    sampler = import_client("imblearn.under_sampling").RandomUnderSampler(random_state=0)
    pipeline = import_client("imblearn.pipeline").make_pipeline(sampler, classifier(max_iter=40))
    scores = cross_val_score(pipeline, to_object_column(X), y, cv=3, scoring="balanced_accuracy", error_score="raise")
    assert scores.mean() > 0.7


def test_balanced_bagging_trains_each_network_on_as_many_sequences_of_each_class():
    X, y = imbalanced()
    client = import_client("imblearn.ensemble").BalancedBaggingClassifier
    bagging = client(classifier(), n_estimators=4, random_state=0).fit(to_object_column(X), y)
    probabilities = [member.predict_proba(X) for member in bagging.estimators_]
    assert_allclose(bagging.predict_proba(to_object_column(X)), np.mean(probabilities, axis=0), rtol=1e-12)
    X_test, y_test = imbalanced(600, seed=1)
    assert recall_score(y_test, bagging.predict(to_object_column(X_test))) > 0.6
