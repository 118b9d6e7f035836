"""States of pickles: plain values by names, with a format and a version."""

import copy
import io
import pickle
import pickletools

import joblib
import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_array_equal
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._utils import state as states
from sklearn_rnn._utils.plain import (
    Array,
    Labels,
    Named,
    Number,
    Optional,
    RandomBits,
    Text,
    Whole,
    from_plain,
    plain_form,
    to_plain,
)
from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences

X = make_sequences((5, 3, 7, 4, 6, 6))
LABELS, VALUES = np.array(["a", "b", "c"] * 2), np.arange(6.0)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "n_iter_no_change": np.inf}


def with_codes():
    return [np.column_stack([x, np.arange(len(x)) % 3]) for x in X]


def fitted(**params):
    return RNNClassifier(**SMALL | params).fit(X, LABELS)


def stream():
    regressor = RNNRegressor(**SMALL, bidirectional=False, patch_size=2, patch_stride=1).fit(X, VALUES)
    stream = regressor.stream(2)
    stream.predict(np.ones((2, 3, 2)))
    return stream


MAKERS = {
    "unfitted": lambda: RNNClassifier(**SMALL),
    "classifier": fitted,
    "object labels": lambda: RNNClassifier(**SMALL).fit(X, LABELS.astype(object)),
    "multilabel": lambda: RNNClassifier(**SMALL).fit(X, np.eye(6, dtype=int)),
    "adaptive": lambda: fitted(truncation="auto", solver="sgd", random_state=np.random.RandomState(3)),
    "unbiased": lambda: fitted(truncation="unbiased", solver="rmsprop", cell="lstm"),
    "L-BFGS": lambda: fitted(solver="lbfgs", cell="rnn", bidirectional=True, hidden_layer_sizes=(3, 2)),
    "categories": lambda: RNNClassifier(**SMALL, categorical_features=[2]).fit(with_codes(), LABELS),
    "early stopping": lambda: fitted(early_stopping=True, validation_fraction=0.5, normalize_features=False),
    "regressor": lambda: RNNRegressor(**SMALL, readout="mean").fit(X, np.c_[VALUES, -VALUES]),
    "poisson": lambda: RNNRegressor(**SMALL, loss="poisson").fit([x.astype(np.float32) for x in X], VALUES),
    "stateful": lambda: RNNRegressor(**SMALL, stateful=True, truncation=2).partial_fit(X, VALUES),
    "features": lambda: RecurrentFeatures(8, random_state=0).fit(X),
    "filler": lambda: ForwardFill(add_indicator=True).fit(X),
    "layout": lambda: ToSequences("by_step", step_features=2).fit(np.ones((3, 6))),
    "pipeline": lambda: make_pipeline(TimeDistributed(StandardScaler()), RNNClassifier(**SMALL)).fit(X, LABELS),
    "stream": stream,
}
each_object = pytest.mark.parametrize("name", MAKERS)
PUBLIC = {f"{module.__name__} {name}" for module in (sklearn_rnn, sklearn_rnn.preprocessing) for name in module.__all__}


def classes_in(pickled):
    """Places of the classes and functions that a pickle of protocol 2 names."""
    return {argument for opcode, argument, _ in pickletools.genops(pickled) if opcode.name == "GLOBAL"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@each_object
def test_pickles_name_public_classes_of_this_package_alone(name):
    original = MAKERS[name]()
    pickled = pickle.dumps(original, protocol=2)
    ours = {place for place in classes_in(pickled) if place.startswith("sklearn_rnn")}
    assert ours
    assert ours <= PUBLIC
    # The same state again: nothing is lost on the way.
    assert joblib.hash(pickle.loads(pickled)) == joblib.hash(original)


@pytest.mark.parametrize("name", ["categories", "stateful", "features", "stream"])
def test_copies_and_mapped_files_have_the_same_state(name, tmp_path):
    original = MAKERS[name]()
    joblib.dump(original, tmp_path / "file")
    copies = (
        copy.copy(original),
        copy.deepcopy(original),
        joblib.load(tmp_path / "file", mmap_mode="r"),
    )
    for one in copies:
        assert type(one) is type(original)
        assert joblib.hash(one, coerce_mmap=True) == joblib.hash(original)


def test_views_of_an_unpickled_network_share_one_vector():
    loaded = pickle.loads(pickle.dumps(fitted()))
    bases = {id(view.base if view.base is not None else view) for view in loaded.weights_.values()}
    assert len(bases) == 1
    before = loaded.predict_proba(X)
    loaded.weights_["readout.bias"][...] += 1.0, 0, 0
    assert np.abs(loaded.predict_proba(X) - before).max() > 0.1


@each_object
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_states_have_a_format_and_a_version(name):
    original = MAKERS[name]()
    if name == "pipeline":
        original = original[-1]
    state = original.__getstate__()
    assert (state["_sklearn_rnn_format"], state["_sklearn_rnn_version"]) == (1, sklearn_rnn.__version__)
    assert "_sklearn_rnn_format" not in vars(pickle.loads(pickle.dumps(original)))


@pytest.mark.parametrize("name", ["classifier", "layout", "stream"])
def test_another_version_warns_and_a_newer_format_is_refused(name, monkeypatch):
    original = MAKERS[name]()
    with monkeypatch.context() as newer:
        newer.setattr(sklearn_rnn, "__version__", "7.8")
        of_newer_version = pickle.dumps(original)
        newer.setattr(states, "FORMAT", 9)
        of_newer_format = pickle.dumps(original)
    with pytest.warns(InconsistentVersionWarning, match="of sklearn_rnn from version 7.8 when using version") as caught:
        pickle.loads(of_newer_version)
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"saved by sklearn_rnn 7.8 in format 9, .*: install sklearn_rnn 7.8 or newer"):
        pickle.loads(of_newer_format)


@pytest.mark.parametrize("name", ["classifier", "features", "filler"])
def test_pickles_from_before_the_formats_load_with_a_warning(name):
    original = MAKERS[name]()
    loaded = type(original).__new__(type(original))
    with pytest.warns(InconsistentVersionWarning, match="from version before 0.1.0"):
        loaded.__setstate__(dict(vars(original)))
    assert joblib.hash(loaded) == joblib.hash(original)


def test_streams_from_before_the_formats_load_with_a_warning():
    original = stream()
    state = original.__getstate__()
    old = {"model": fitted_model(original), "n_jobs": state["n_jobs"], "state": state["state"]}
    loaded = type(original).__new__(type(original))
    with pytest.warns(InconsistentVersionWarning, match="from version before 0.1.0"):
        loaded.__setstate__(old)
    assert joblib.hash(loaded) == joblib.hash(original)


def fitted_model(stream):
    return stream._model


def test_a_generator_of_another_kind_survives():
    estimator = fitted(random_state=np.random.RandomState(np.random.PCG64(5)), warm_start=True)
    loaded = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(loaded.fit(X, LABELS).predict_proba(X), estimator.fit(X, LABELS).predict_proba(X))


# ---- What is refused ---------------------------------------------------------------------------------


def changed(state, path, value):
    """A copy of nested dicts with another value at a path."""
    state = copy.deepcopy(state)
    place = state
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return state


BAD = [
    (("_model", "network", "n_outputs"), 2, r"_model\.network\.parameters has \d+ numbers, but must have"),
    (("_model", "network", "n_outputs"), 2.0, r"n_outputs is 2\.0, but it must be an integer"),
    (("_model", "network", "hidden_layer_sizes"), [2**62], r"parameters has \d+ numbers, but must have"),
    (("_model", "network", "hidden_layer_sizes"), [], "must have a layer"),
    (("_model", "network", "cell"), "gus", "cell is 'gus', but this version knows gru, lstm, rnn"),
    (("_model", "network", "kind"), "model", "network is 'model', but it must be one of network"),
    (("_model", "network", "readout"), ("last", "each"), "must be a readout's name"),
    (("_model", "schema", "step_features"), 3, "must read the features of the schema"),
    (("_model", "schema", "dtype"), "float32", "must have parameters of float32"),
    (("_model", "schema", "extra"), 1, "schema has 'extra', which this version does not know"),
    (("_model", "schema", "patches", "stride"), 2, "must have stride <= size"),
    (("_model", "coding", "classes"), np.array(["b", "a", "c"]), "must be two or more labels in their order"),
    (("_model", "link"), "logistic", "link must be 'softmax'"),
    (("_session", "optimizer", "mean"), np.zeros(3), "optimizer must have an entry for each parameter"),
    (("_session", "optimizer"), None, "optimizer must go with solver"),
    (("_session", "random_state", "state", "pos"), 625, "pos is 625, but it must be from 0 to 624"),
    (("_session", "random_state", "state", "key"), np.zeros(4, np.uint32), "must be an array of 624 integers"),
    (("_session", "random_state", "bit_generator"), "bytes", "is a generator 'bytes', but it must be MT19937"),
    (("_session", "scaling", "layers", 0, "weight"), "nothing", "must have an entry for each input"),
    (("_session", "carried_state"), [np.zeros((1, 2, 3))], "must have the states of every layer"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=lambda value: str(value)[:40])
def test_states_whose_parts_do_not_go_together_are_refused_by_place(path, value, message):
    state = changed(fitted().__getstate__(), path, value)
    with pytest.raises(ValueError, match=message):
        RNNClassifier().__setstate__(state)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Whole(1), True, "must be an integer"),
        (Whole(1), 2**63, r"must be an integer from 1 to 2\^63 - 1"),
        (Number(0, 1), float("nan"), "must be a number"),
        (Number(), 10**400, "must be a number"),
        (Text(), 1, "must be a string"),
        (Array(1), np.zeros((1, 1)), "1 axes"),
        (Array(1), np.array([np.inf]), "NaN or infinity"),
        (Labels(of_strings=True), np.zeros(1), "must be a list"),
        (Labels(), [None], "no label"),
        (RandomBits(), {"bit_generator": "SFC64"}, "MT19937"),
        (Optional(Named({"a": 1})), "b", "this version knows a"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "to_plain") else str(value),
)
def test_a_field_refuses_what_is_none(field, value, message):
    with pytest.raises(ValueError, match=f"^place.*{message}"):
        field.from_plain(value, "place", True)


def test_a_class_without_a_plain_form_says_how_to_give_it_one():
    with pytest.raises(TypeError, match=r"BytesIO has no plain form.*plain_form"):
        to_plain(io.BytesIO())


def test_a_class_may_move_and_be_renamed():
    @plain_form("a test's thing", _size=Whole(1))
    class Thing:
        def __init__(self, size):
            self._size = size

    state = to_plain(Thing(3))
    assert state == {"kind": "a test's thing", "size": 3}

    @plain_form("a test's thing", size=Whole(1))
    class Other:
        pass

    assert vars(from_plain(state, ("a test's thing",), "here")) == {"size": 3}
    assert isinstance(from_plain(state, ("a test's thing",), "here"), Other)
