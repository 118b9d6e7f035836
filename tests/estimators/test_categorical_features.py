"""Estimators with categorical features: their vectors, streams, chunks, budgets, searches and copies."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.inspection import gradient_flow

pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

KINDS = np.array(["buy", "cart", "search", "view"])


def make_clicks(n=40, seed=0):
    """Frames of kinds and amounts; the label says whether more was bought than put into the cart."""
    generator = np.random.default_rng(seed)
    frames = []
    for n_steps in generator.integers(3, 12, n):
        kinds, amounts = generator.choice(KINDS, n_steps), generator.exponential(size=n_steps)
        frames.append(pd.DataFrame({"kind": kinds, "amount": amounts}))
    bought = [x.amount[x.kind == "buy"].sum() - x.amount[x.kind == "cart"].sum() for x in frames]
    return frames, np.array(bought) > 0


X, y = make_clicks()


def classifier(**settings):
    return RNNClassifier(**{"hidden_layer_sizes": 8, "max_iter": 3, "random_state": 0} | settings)


def assert_same_weights(actual, expected):
    for name, weights in expected.weights_.items():
        assert_array_equal(actual.weights_[name], weights, err_msg=name)


def test_a_raw_frame_is_learned():
    clf = RNNClassifier(16, random_state=0).fit(*make_clicks(400))
    assert clf.score(*make_clicks(200, seed=1)) > 0.85
    assert_array_equal(clf.is_categorical_, [True, False])
    assert_array_equal(clf.categories_[0], KINDS)
    assert clf.weights_["embedding.kind"].shape == (5, 4)  # as many numbers as categories
    assert clf.weights_["layer_0.input"].shape[0] == 1 + 4


def test_without_categories_the_attributes_are_none():
    clf = classifier().fit([x[["amount"]] for x in X], y)
    assert clf.is_categorical_ is None
    assert clf.categories_ is None


def test_the_vector_of_unknown_categories_stays_zero_unless_it_is_trained():
    assert_array_equal(classifier().fit(X, y).weights_["embedding.kind"][0], 0)
    holes = [x.mask(np.column_stack([np.arange(len(x)) == 1, np.zeros(len(x), bool)])) for x in X]
    clf = classifier().fit(holes, y)
    assert np.abs(clf.weights_["embedding.kind"][0]).min() > 0
    unknown = [x.assign(kind=x["kind"].fillna("never seen")) for x in holes]
    assert_array_equal(clf.predict_proba(unknown), clf.predict_proba(holes))


@pytest.mark.parametrize(("size", "expected"), [("auto", [2, 50]), (7, [7, 7])])
def test_sizes_of_vectors(size, expected):
    ids = np.zeros((2, 1000, 2))
    ids[:, :, 0] = np.arange(1000) % 2
    ids[:, :, 1] = np.arange(1000)
    clf = classifier(categorical_features=[0, 1], embedding_size=size, patch_size=1, max_iter=1).fit(ids, [0, 1])
    assert [clf.weights_[f"embedding.{j}"].shape[1] for j in (0, 1)] == expected


PATCHES = [{"patch_size": 1}, {"patch_size": 2}, {"patch_size": 3, "patch_stride": 2}]


@pytest.mark.parametrize("settings", [*PATCHES, {"cell": "lstm", "readout": "each"}], ids=str)
def test_streams_predict_what_predict_does(settings):
    frames = [x.head(len(x) - len(x) % 2) for x in X]
    labels = [np.arange(len(x)) % 2 for x in frames] if settings.get("readout") == "each" else y
    clf = classifier(bidirectional=False, **settings).fit(frames, labels)
    for frame in frames[:5]:
        expected = clf.predict_proba([frame])[0]
        steps, stride = clf.stream(), clf.patch_stride_
        for start in range(0, len(frame), stride):
            step = frame.iloc[start : start + stride]
            prediction = steps.step(step.to_numpy().reshape(1, -1) if stride > 1 else step)
        chunks = clf.stream()
        parts = [chunks.predict_proba([frame.iloc[start : start + 2]])[0] for start in range(0, len(frame), 2)]
        if clf.readout == "each":
            assert prediction == clf.predict([frame])[0][-1]
            assert_allclose(np.concatenate(parts), expected, rtol=1e-6)
        else:
            assert prediction == clf.predict([frame])
            assert_allclose(parts[-1], expected, rtol=1e-6)


def test_steps_of_a_stream_in_any_form():
    frames = [x.head(4) for x in X if len(x) > 3]
    clf = classifier(bidirectional=False).fit(X, y)
    for convert in (
        lambda rows: pd.DataFrame(rows, columns=["kind", "amount"]),
        lambda rows: rows,
        lambda rows: np.array(rows, dtype=object),
    ):
        stream = clf.stream(len(frames))
        for t in range(4):
            predictions = stream.step(convert([x.iloc[t].tolist() for x in frames]))
        assert_array_equal(predictions, clf.predict(frames))
    one = clf.stream()
    for t in range(4):
        prediction = one.step(frames[0].iloc[t])
    assert prediction == clf.predict(frames[:1])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (["buy"], r"x has shape \(1,\), but a step of 1 sequence has shape"),
        ([1.0, 2.0], r"x\[0\] has 1.0 in the categorical feature 'kind', whose categories are strings"),
        (["buy", "two"], r"x\[0\] is not numeric: it has the string 'two'"),
        (["buy", np.nan], "x contains NaN in sequence 0, step 0, feature 'amount'"),
        (pd.DataFrame({"amount": [1.0], "kind": ["buy"]}), "x: The feature names should match"),
    ],
)
@pytest.mark.filterwarnings("ignore:x does not have valid feature names")
def test_bad_steps_leave_a_stream_as_it_is(x, message):
    stream = classifier(bidirectional=False).fit(X, y).stream()
    before = stream.step(["buy", 1.0])
    state = stream.state
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        stream.step(x)
    for name, array in state.items():
        assert_array_equal(stream.state[name], array)
    assert len(before) == 1


def test_chunks_have_the_categories_of_the_first_call_or_the_given_ones():
    first, second = [["a", "b"], ["b"]], [["c", "a"], ["c"]]
    clf = classifier(bidirectional=False).partial_fit(first, [0, 1], classes=[0, 1])
    unknown_before = clf.weights_["embedding.0"][0].copy()
    clf.partial_fit(second, [0, 1])
    assert_array_equal(clf.categories_[0], ["a", "b"])
    assert (clf.weights_["embedding.0"][0] != unknown_before).all()  # c trained it
    clf = classifier(categories=[["a", "b", "c"]]).partial_fit(first, [0, 1], classes=[0, 1])
    start = clf.weights_["embedding.0"][3].copy()
    clf.partial_fit(second, [0, 1])
    assert (clf.weights_["embedding.0"][3] != start).all()


def test_stateful_chunks_are_the_whole():
    whole = [x.head(6).reset_index(drop=True) for x in X if len(x) >= 6]
    labels = [np.arange(6.0) for _ in whole]
    settings = {"hidden_layer_sizes": 4, "readout": "each", "truncation": 2, "random_state": 0, "shuffle": False}
    settings |= {"batch_size": len(whole), "categories": [KINDS], "bidirectional": False, "normalize_y": False}
    once = RNNRegressor(stateful=True, **settings).partial_fit(whole, labels)
    chunks = RNNRegressor(stateful=True, **settings)
    for start in (0, 2, 4):
        chunks.partial_fit([x.iloc[start : start + 2] for x in whole], [v[start : start + 2] for v in labels])
    assert_same_weights(chunks, once)


def test_a_memory_budget_changes_no_bit():
    generator = np.random.default_rng(0)
    sequences = [generator.choice(KINDS, 12000).tolist() for _ in range(4)]
    settings = {"bidirectional": False, "patch_size": 1, "max_iter": 1, "embedding_size": 30}
    without = classifier(**settings).fit(sequences, [0, 1, 0, 1])
    within = classifier(memory_budget=7_000_000, **settings)
    estimate = within.memory_estimate(sequences)
    assert estimate.planned <= 7_000_000 < estimate.full
    assert_same_weights(within.fit(sequences, [0, 1, 0, 1]), without)


@pytest.mark.parametrize("settings", [{"solver": "lbfgs", "max_iter": 20}, {"truncation": 3}, {"early_stopping": True}])
def test_other_ways_of_training(settings):
    clf = classifier(**settings).fit(X, y)
    start = classifier(**settings | {"max_iter": 1, "learning_rate_init": 1e-12}).fit(X, y)
    assert clf.loss_ < start.loss_


APART = {
    "frames": lambda x: pd.DataFrame({"kind": x}).astype("category"),
    "Series": lambda x: pd.Series(x).astype("category"),
}


@pytest.mark.parametrize("make", APART.values(), ids=APART)
def test_weight_zero_removes_dtypes_of_categories_too(make):
    X = [make(x) for x in (["a", "b"], ["c", "b"], ["zebra"], ["b", "b", "a"])]
    y, weights = [0, 1, 0, 1], [1, 1, 0, 1]
    clf = RNNClassifier(3, max_iter=3, random_state=0)
    weighted = clone(clf).fit(X, y, weights)
    removed = clone(clf).fit(X[:2] + X[3:], y[:2] + y[3:])
    assert list(weighted.categories_[0]) == ["a", "b", "c"]
    for name, values in removed.weights_.items():
        assert_array_equal(weighted.weights_[name], values)
    assert_array_equal(weighted.predict_proba(X), removed.predict_proba(X))


def test_searches_clones_and_pickles():
    search = GridSearchCV(classifier(), {"embedding_size": [1, 4], "cell": ["gru", "rnn"]}, cv=2).fit(X, y)
    best = search.best_estimator_
    assert best.weights_["embedding.kind"].shape == (5, best.embedding_size)
    twin = pickle.loads(pickle.dumps(best))
    assert_array_equal(twin.predict_proba(X), best.predict_proba(X))
    assert_array_equal(twin.categories_[0], KINDS)
    assert_same_weights(clone(best).fit(X, y), best)


def test_training_continues_only_with_the_same_categorical_features():
    clf = classifier(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"^embedding_size=9, but the fitted network has embedding_size='auto'"):
        clf.set_params(embedding_size=9).fit(X, y)
    clf.set_params(embedding_size="auto", categorical_features=np.array([True, False]))
    with pytest.raises(ValueError, match=r"^categorical_features=\[True, False\], but the fitted network has"):
        clf.fit(X, y)


def test_the_gradient_flows_through_networks_with_embeddings():
    clf = classifier(bidirectional=False, patch_size=1).fit(X, y)
    flow = gradient_flow(clf, X, y)
    assert (flow.layers[0].hidden_norms[:3] > 0).all()
