"""skops: files without pickle, whose types are listed before they load."""

import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, regressor, sums, two_classes
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences

pytestmark = announcements_ignored
PUBLIC = {
    "sklearn_rnn.RNNClassifier",
    "sklearn_rnn.RNNRegressor",
    "sklearn_rnn.preprocessing.ForwardFill",
    "sklearn_rnn.preprocessing.RecurrentFeatures",
    "sklearn_rnn.preprocessing.TimeDistributed",
    "sklearn_rnn.preprocessing.ToSequences",
}


def round_trip(estimator):
    """An estimator after a dump and a load, which trusts the public classes of this package that it consists of."""
    io = import_client("skops.io")
    file = io.dumps(estimator)
    parts = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
    ours = {f"{type(part).__module__}.{type(part).__name__}" for part in parts}
    assert ours <= PUBLIC
    assert set(io.get_untrusted_types(data=file)) == ours
    return io.loads(file, trusted=sorted(ours))


def test_types_that_are_not_trusted_do_not_load():
    io = import_client("skops.io")
    exceptions = import_client("skops.io.exceptions")
    file = io.dumps(classifier().fit(*two_classes()))
    with pytest.raises(exceptions.UntrustedTypesFoundException, match=r"sklearn_rnn\.RNNClassifier"):
        io.loads(file)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "lstm", "truncation": "unbiased", "truncation_stride": 2, "solver": "rmsprop"},
        {"solver": "sgd", "early_stopping": True, "hidden_layer_sizes": (4, 3), "dropout": 0.2},
        {"solver": "lbfgs", "max_iter": 5, "patch_size": 2},
        {"truncation": "auto", "normalize_features": False},
    ],
    ids=["defaults", "truncated", "early stopping", "L-BFGS", "adaptive"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_loaded_network_predicts_and_learns_on_with_the_same_bits(params):
    X, y = two_classes()
    original = classifier(warm_start=True, **params).fit(X, y)
    loaded = round_trip(original)
    assert loaded.get_params() == original.get_params()
    before = original.predict_proba(X)
    assert_array_equal(loaded.predict_proba(X), before)
    assert_array_equal(loaded.fit(X, y).predict_proba(X), original.fit(X, y).predict_proba(X))
    assert np.abs(loaded.predict_proba(X) - before).max() > 1e-3


def test_a_loaded_pipeline_predicts_the_same():
    X, y = sums()
    pipeline = make_pipeline(ForwardFill(), TimeDistributed(StandardScaler()), regressor(loss="huber")).fit(X, y)
    assert_array_equal(round_trip(pipeline).predict(X), pipeline.predict(X))


def test_loaded_transformers_transform_the_same():
    X, _ = sums()
    features = RecurrentFeatures(16, random_state=0).fit(X)
    assert_array_equal(round_trip(features).transform(X), features.transform(X))
    cases = np.random.default_rng(0).normal(size=(4, 3, 5))
    layout = ToSequences("case_channel_time").fit(cases)
    assert_array_equal(round_trip(layout).transform(cases), cases.transpose(0, 2, 1))
