"""aeon: its arrays (case, channel, time) and its lists of unequal lengths."""

from client_data import announcements_ignored, classifier, import_client
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline

from sklearn_rnn.preprocessing import ToSequences

pytestmark = announcements_ignored


def network(**params):
    return make_pipeline(ToSequences("case_channel_time"), classifier(**params))


def test_arrays_of_equal_lengths_are_classified_in_the_right_order():
    datasets = import_client("aeon.datasets")
    X, y = datasets.load_basic_motions(split="train")
    X_test, y_test = datasets.load_basic_motions(split="test")
    assert X.shape == (40, 6, 100)
    fitted = network().fit(X, y)
    by_hand = classifier().fit(X.transpose(0, 2, 1), y)
    assert_array_equal(fitted.predict_proba(X_test), by_hand.predict_proba(X_test.transpose(0, 2, 1)))
    assert fitted.score(X_test, y_test) > 0.8  # of four kinds of motion


def test_lists_of_unequal_lengths_are_classified_too():
    datasets = import_client("aeon.datasets")
    X, y = datasets.load_japanese_vowels(split="train")
    X_test, y_test = datasets.load_japanese_vowels(split="test")
    fitted = network().fit(X, y)
    by_hand = classifier().fit([x.T for x in X], y)
    assert_array_equal(fitted.predict_proba(X_test), by_hand.predict_proba([x.T for x in X_test]))
    assert fitted.score(X_test, y_test) > 0.8  # of nine speakers


def test_collection_transformers_come_before_the_layout():
    datasets = import_client("aeon.datasets")
    normalizer = import_client("aeon.transformations.collection").Normalizer()
    X, y = datasets.load_basic_motions(split="train")
    X_test, y_test = datasets.load_basic_motions(split="test")
    pipeline = make_pipeline(normalizer, ToSequences("case_channel_time"), classifier(max_iter=40)).fit(X, y)
    scaled = [(x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) for x in X]
    by_hand = classifier(max_iter=40).fit([x.T for x in scaled], y)
    assert_allclose(pipeline.predict_proba(X), by_hand.predict_proba([x.T for x in scaled]), rtol=1e-4)
    assert pipeline.score(X_test, y_test) > 0.5


def test_a_pipeline_of_aeon_keeps_its_layout():
    datasets = import_client("aeon.datasets")
    compose = import_client("aeon.classification.compose")
    normalizer = import_client("aeon.transformations.collection").Normalizer()
    X, y = datasets.load_unit_test(split="train")
    X_test, y_test = datasets.load_unit_test(split="test")
    assert X.shape == (20, 1, 24)  # without a layout, these are sequences of one step
    pipeline = compose.ClassifierPipeline([normalizer], network(max_iter=60)).fit(X, y)
    by_hand = classifier(max_iter=60).fit(normalizer.fit_transform(X)[:, 0], y)
    assert_array_equal(pipeline.predict_proba(X_test), by_hand.predict_proba(normalizer.transform(X_test)[:, 0]))
    assert pipeline.score(X_test, y_test) > 0.7
