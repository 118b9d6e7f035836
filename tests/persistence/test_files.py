"""Files of sklearn_rnn.save: the same model comes back, and nothing else is loaded."""

import os
import pickle
import threading
import zipfile

import joblib
import numpy as np
import pytest
from mutations import SIGNED, UNSIGNED, bytes_of, parts_of, with_digest
from numpy.testing import assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from small_files import LABELS, MODELS, classifier, regressor, sequences, with_gaps

import sklearn_rnn
from sklearn_rnn import ModelFileError, RNNClassifier, load, save
from sklearn_rnn._utils import files
from sklearn_rnn._utils import state as states
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, ToSequences

X = sequences()


def saved(estimator, path, **options):
    save(estimator, path, **options)
    return load(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A fitted classifier, and the bytes of its file with the state of training."""
    estimator, file = classifier(stateful=True).fit(X, LABELS), tmp_path_factory.mktemp("files") / "original.npz"
    save(estimator, file, with_training=True)
    return estimator, file.read_bytes()


# ---- There and back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_predicts_with_the_same_bits(name, path):
    estimator, inputs = MODELS[name]()
    loaded = saved(estimator, path)
    for one, expected in zip(loaded.predict(inputs), estimator.predict(inputs)):
        assert_array_equal(one, expected)
    if hasattr(estimator, "predict_proba"):
        assert_array_equal(loaded.predict_proba(inputs), estimator.predict_proba(inputs))
    assert str(loaded) == str(estimator)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "rmsprop", "truncation": "unbiased", "dropout": 0.2, "hidden_layer_sizes": (3, 3)},
        {"solver": "sgd", "truncation": "auto", "stateful": True},
    ],
    ids=str,
)
def test_training_continues_with_the_same_bits_if_its_state_is_saved(params, path):
    chunk = [x[:2] for x in X]
    estimator = classifier(**params).fit(X, LABELS).partial_fit(chunk, LABELS)
    loaded = saved(estimator, path, with_training=True)
    assert joblib.hash(loaded) == joblib.hash(estimator)
    before = estimator.predict_proba(X)
    loaded.partial_fit(chunk, LABELS)
    estimator.partial_fit(chunk, LABELS)
    assert joblib.hash(loaded) == joblib.hash(estimator)
    assert np.abs(loaded.predict_proba(X) - before).max() > 1e-6


def test_a_model_without_its_training_has_its_records_and_says_why_training_cannot_continue(path):
    estimator = classifier(stateful=True, early_stopping=False).fit(X, LABELS)
    loaded = saved(estimator, path)
    assert (loaded.loss_curve_, loaded.t_, loaded.best_loss_) == (
        estimator.loss_curve_,
        estimator.t_,
        estimator.best_loss_,
    )
    before = joblib.hash(loaded)
    with pytest.raises(ValueError, match=r"saved without the state of its training: .*with_training=True"):
        loaded.partial_fit(X, LABELS)
    with pytest.raises(ValueError, match="there is no state to reset"):
        loaded.reset_state()
    assert joblib.hash(loaded) == before
    assert_array_equal(loaded.fit(X, LABELS).predict_proba(X), estimator.predict_proba(X))


def test_parameters_of_many_types_survive(path):
    estimator = RNNClassifier(
        class_weight={"here": 1, 2: 0.5, np.int64(3): np.float32(2)},
        n_iter_no_change=np.inf,
        readout=("last", "mean"),
        hidden_layer_sizes=[np.int64(3), 2],
        categorical_features=np.array([True, False]),
        categories=[np.array(["a", None], object)],
        random_state=np.random.RandomState(3),
    )
    loaded = saved(estimator, path)
    expected, params = estimator.get_params(), loaded.get_params()
    assert_array_equal(params.pop("categorical_features"), expected.pop("categorical_features"))
    assert_array_equal(params.pop("categories")[0], expected.pop("categories")[0])
    assert params.pop("random_state").uniform() == expected.pop("random_state").uniform()
    assert params == expected
    assert [type(params[name]) for name in ("readout", "hidden_layer_sizes")] == [tuple, list]
    assert not hasattr(loaded, "classes_")


GAPS = np.array([[1.0, np.nan, 5.0], [2.0, np.nan, np.nan], [2.0, np.nan, 4.0]])
WITH_TEXT = np.array([["a", 1.0], ["a", np.nan], [np.nan, 3.0]], object)


@pytest.mark.parametrize(
    "params",
    [{"epsilon": 10**30}, {"clip_update": 2**63}, {"solver": "sgd", "learning_rate": "invscaling", "power_t": 2**64}],
    ids=str,
)
def test_integers_beyond_64_bits_survive_in_the_state_of_training(params, path):
    estimator = classifier(**params).fit(X, LABELS)
    copies = [saved(estimator, path, with_training=True), pickle.loads(pickle.dumps(estimator))]
    expected = estimator.partial_fit(X, LABELS).predict_proba(X)
    for copy in copies:
        assert_array_equal(copy.partial_fit(X, LABELS).predict_proba(X), expected)


@pytest.mark.parametrize("params", [{}, {"add_indicator": True}, {"keep_empty_features": True}], ids=str)
@pytest.mark.parametrize(
    ("strategy", "values"),
    [
        *((strategy, GAPS) for strategy in ("mean", "median", "most_frequent", "constant")),
        *((strategy, WITH_TEXT) for strategy in ("most_frequent", "constant")),
        ("median", GAPS.astype(np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.dtype.name,
)
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values:UserWarning")
@pytest.mark.filterwarnings("ignore:Currently, when `keep_empty_feature=False`:FutureWarning")  # scikit-learn 1.6
def test_an_imputer_fills_in_the_same_values(strategy, values, params, path):
    imputer = SimpleImputer(strategy=strategy, **params).fit(values)
    vars(imputer).pop("_fill_dtype", None)  # as scikit-learn 1.6 fits it
    filled, expected = saved(imputer, path).transform(values), SimpleImputer(strategy=strategy, **params)
    expected = expected.fit_transform(values)
    assert filled.dtype == expected.dtype
    assert filled.tolist() == expected.tolist()
    assert not any(value != value for value in filled.ravel())


def test_names_of_features_survive(path):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frames = [pd.DataFrame(x, columns=["speed", "height"]) for x in X]
    scaler = TimeDistributed(StandardScaler())
    pipeline = make_pipeline(scaler, classifier()).fit(frames, LABELS)
    estimator = classifier().fit(frames, LABELS)
    assert_array_equal(saved(pipeline, path)[0].feature_names_in_, ["speed", "height"])
    loaded = saved(estimator, path)
    assert_array_equal(loaded.feature_names_in_, ["speed", "height"])
    with pytest.raises(ValueError, match="same order"):
        loaded.predict([frame[["height", "speed"]] for frame in frames])


def test_the_same_model_has_the_same_bytes_which_numpy_reads(path, original):
    estimator, data = original
    save(estimator, path, with_training=True)
    assert path.read_bytes() == data
    with np.load(path, allow_pickle=False) as arrays:
        vectors = [array for name, array in arrays.items() if name.startswith("array")]
    n_parameters = sum(weights.size for weights in estimator.weights_.values())
    assert [array.size for array in vectors].count(n_parameters) == 3  # and both moments


def test_another_version_warns_and_a_newer_format_is_refused(path, original, monkeypatch):
    header, arrays = parts_of(original[1])
    path.write_bytes(bytes_of(header | {"sklearn_rnn": "7.8"}, arrays))
    with pytest.warns(InconsistentVersionWarning, match="RNNClassifier of sklearn_rnn from version 7.8 when using"):
        load(path)
    path.write_bytes(bytes_of(header | {"sklearn_rnn": "7.8", "format": states.FORMAT + 1}, arrays))
    with pytest.raises(ModelFileError, match=r"saved by sklearn_rnn 7.8 in format 2.*install sklearn_rnn 7.8 or newer"):
        load(path)


def test_another_version_of_scikit_learn_warns_if_its_classes_are_in_the_file(path):
    estimator, _ = MODELS["features"]()
    save(estimator, path)
    header, arrays = parts_of(path.read_bytes())
    path.write_bytes(bytes_of(header | {"scikit-learn": "1.2.3"}, arrays))
    with pytest.warns(InconsistentVersionWarning, match="Pipeline from version 1.2.3"):
        load(path)


# ---- Refused when saved ------------------------------------------------------------------------------


def a_scorer(estimator, X, y):
    return 1.0


def with_nan():
    estimator = regressor().fit(X, np.arange(9.0))
    estimator.weights_["readout.bias"][...] = np.nan
    return estimator


def with_infinite_moments():
    estimator = classifier().fit(X, LABELS)
    vars(estimator)["_session"].optimizer.mean[0] = np.inf
    return estimator


def with_note():
    estimator = classifier().fit(X, LABELS)
    estimator.note = "mine"
    return estimator


def scaler_with_note():
    scaler = StandardScaler().fit(X[0])
    scaler.note = "mine"
    return scaler


REFUSED = {
    "a function of an imputer": (lambda: SimpleImputer(strategy=np.max).fit(X[0]), TypeError, "strategy is a function"),
    "a forest": (lambda: make_pipeline(RandomForestClassifier()), TypeError, r"RandomForestClassifier, which files"),
    "a subclass": (lambda: type("Mine", (RNNClassifier,), {})(), TypeError, r"class .*\.Mine, which files"),
    "a function": (lambda: classifier(scoring=a_scorer), TypeError, r"RNNClassifier|scoring is a function, but"),
    "a function in a step": (lambda: TimeDistributed(FunctionTransformer(np.log)), TypeError, r"func is a function"),
    "NaN": (with_nan, ValueError, "weights that are NaN"),
    "infinite moments": (with_infinite_moments, ValueError, r"could not be loaded again: .*mean contains NaN or inf"),
    "an attribute": (with_note, TypeError, "has the attribute 'note'"),
    "an attribute of a scaler": (scaler_with_note, TypeError, "has the attribute 'note'"),
    "a class": (lambda: RNNClassifier, TypeError, "is no estimator"),
    "a lock": (lambda: classifier(class_weight={1: threading.Lock()}), TypeError, r"class_weight\[1\] is of type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_cannot_hold_is_refused_by_name_and_the_old_file_stays(name, path):
    make, error, message = REFUSED[name]
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        save(make(), path, with_training=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


# ---- Whole files or none -----------------------------------------------------------------------------


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(path, original, monkeypatch):
    path.write_bytes(b"old")

    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(original[0], path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_file_and_folder_are_flushed_before_save_returns(path, original, monkeypatch):
    done = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: (done.append("flush"), flush(descriptor)))
    monkeypatch.setattr(files.os, "replace", lambda *names: (done.append("rename"), rename(*names)))
    save(original[0], path)
    assert done == ["flush", "rename"] + ["flush"] * (os.name != "nt")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and links")
def test_permissions_and_links_stay(path, original):
    save(original[0], path)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    save(original[0], link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.timeout(60)
def test_what_is_no_regular_file_is_refused():
    with pytest.raises(OSError, match="no regular file"):
        load("/dev/null")
    with pytest.raises(FileNotFoundError):
        load("no such file")


# ---- Refused when loaded -----------------------------------------------------------------------------


def test_every_changed_bit_is_found(path, original):
    data = original[1]
    rng = np.random.default_rng(0)
    for place in [*rng.integers(len(data), size=150), *range(len(data) - 90, len(data), 6), *range(40)]:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ModelFileError):
            load(path)


@pytest.mark.filterwarnings("ignore")  # edited versions warn, and odd numbers in X may
@pytest.mark.parametrize("change", sorted({*UNSIGNED, *SIGNED}, key=lambda change: change.__name__))
def test_changed_files_give_an_error_or_a_working_model(change, path, original):
    allowed = {"refused"} if change in UNSIGNED else {"refused", "works", "other X"}
    for seed in range(25):
        path.write_bytes(change(original[1], np.random.default_rng(seed)))
        assert outcome(path) in allowed


def outcome(path):
    """What happens to a file whose model may read another X now. Other exceptions pass."""
    try:
        estimator = load(path)
    except ModelFileError:
        return "refused"
    try:
        n_predictions = len(estimator.predict(X))
    except ValueError:
        return "other X"
    return "works" if n_predictions == len(X) else "fails"


def edited(data, *paths_and_values):
    header, arrays = parts_of(data)
    for *path, key, value in paths_and_values:
        place = header
        for name in path:
            place = place[name]
        place[key] = value
    return bytes_of(header, arrays)


FITTED = ("estimator", "fitted")
EDITS = [
    (("estimator", "class", "os.system"), "unknown class 'os.system'"),
    (("estimator", "parameters", "cell", "os"), "cell"),
    (("estimator", "parameters", "hook", 1), "hook"),
    ((*FITTED, "n_features_in_", 3), "is 3, but a step has 2 features"),
    ((*FITTED, "model", "network", "n_outputs", 10**12), "has .* numbers, but must have"),
    ((*FITTED, "model", "coding", "classes", {"$array": "array_77"}), "has no array"),
    ((*FITTED, "session", "random_state", "state", "pos", 10**6), "must be from 0 to 624"),
    ((*FITTED, "session", "kind", "model"), "must be one of"),
    (("format", True), "has the format True"),
    (("surprise", 1), "which this version does not know"),
]


@pytest.mark.parametrize(("edit", "message"), EDITS, ids=lambda value: str(value)[:50])
def test_an_edited_header_is_refused_by_its_place(edit, message, path, original):
    path.write_bytes(edited(original[1], edit))
    with pytest.raises(ModelFileError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("statistics_",), {"$objects": ["a", [1]], "shape": [2]}, "statistics_ has items that are no labels"),
        (("statistics_",), {"$objects": ["a"], "shape": [1]}, "statistics_ is not what it must be"),
        (("statistics_",), None, "statistics_ is not what it must be"),
        (("_fit_dtype",), "M8[s]", "_fit_dtype must be the name of a dtype"),
        (("_fit_dtype",), ["f8"], "_fit_dtype must be the name of a dtype"),
        (("indicator_", "$estimator", "fitted", "features_"), [9], "features_ is not what it must be"),
        (("indicator_", "$estimator", "fitted", "_n_features"), 0, "_n_features is not what it must be"),
    ],
)
def test_an_edited_imputer_is_refused_by_its_place(keys, value, message, path):
    save(SimpleImputer(add_indicator=True).fit(WITH_TEXT[:, [1, 1]]), path)
    header, arrays = parts_of(path.read_bytes())
    if keys[-1] == "features_":
        place = header["estimator"]["fitted"]["indicator_"]["$estimator"]["fitted"]["features_"]["$array"]
        path.write_bytes(bytes_of(header, arrays | {f"{place}.npy": np.array(value)}))
    else:
        path.write_bytes(edited(path.read_bytes(), (*FITTED, *keys, value)))
    with pytest.raises(ModelFileError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("transformer", "name", "places", "message"),
    [
        (ForwardFill(add_indicator=True), "missing_features_", [0, 2], r"is \[0, 2\], but a step has 2 features"),
        (ForwardFill(step_features=3), "missing_features_", [3], r"is \[3\], but a step has 3 features"),
        (ForwardFill(), "missing_features_", [-1], r"is \[-1\], but a step has 2 features"),
        (ToSequences("by_step", exogenous=1), "_exogenous", [7], "_exogenous is not what it must be"),
    ],
    ids=str,
)
def test_places_of_features_that_a_step_does_not_have_are_refused(transformer, name, places, message, path):
    on_rows = isinstance(transformer, ToSequences) or "step_features" in str(transformer)
    save(transformer.fit(np.array([[1.0, np.nan, 3.0]]) if on_rows else with_gaps()), path)
    header, arrays = parts_of(path.read_bytes())
    place = header["estimator"]["fitted"][name]["$array"]
    path.write_bytes(bytes_of(header, arrays | {f"{place}.npy": np.array(places)}))
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_a_time_that_a_step_does_not_have_is_refused(path):
    save(ForwardFill(time=0, add_elapsed=True).fit([np.array([[0.0, 5.0], [1.0, np.nan]])]), path)
    path.write_bytes(edited(path.read_bytes(), (*FITTED, "_time_place", 2)))
    with pytest.raises(ModelFileError, match=r"_time_place is \[2\], but a step has 2 features"):
        load(path)


def test_weights_that_are_not_finite_and_unused_arrays_are_refused(path, original):
    header, arrays = parts_of(original[1])
    name = header["estimator"]["fitted"]["model"]["network"]["parameters"]["$array"]
    weights = arrays[f"{name}.npy"].copy()
    weights[3] = np.nan
    path.write_bytes(bytes_of(header, arrays | {f"{name}.npy": weights}))
    with pytest.raises(ModelFileError, match="parameters contains NaN or infinity"):
        load(path)
    path.write_bytes(bytes_of(header, arrays | {"more.npy": weights}))
    with pytest.raises(ModelFileError, match="has the array 'more', which nothing in it names"):
        load(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no file of sklearn_rnn.save"),
        (b"\x80\x04K\x01.", "a pickle"),
        (b"PK" + b"0" * 200, "does not end with a digest"),
    ],
    ids=["empty", "pickle", "zip"],
)
def test_other_files_are_refused(data, message, path):
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_a_bomb_is_refused_before_it_is_unpacked(path, original):
    header, arrays = parts_of(original[1])
    path.write_bytes(bytes_of(header, arrays | {"bomb.npy": bytes(10**7)}, zipfile.ZIP_DEFLATED))
    with pytest.raises(ModelFileError, match="compressed member"):
        load(path)


def test_the_digest_covers_all_bytes(original):
    assert with_digest(original[1]) == original[1]
    assert issubclass(ModelFileError, ValueError)
    assert sklearn_rnn.load is load


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        ("<i3", "(1,)", r"of an unknown dtype"),
        ("<U0", "(1,)", r"whose items have no bytes"),
        ("<f8", "(2,)", r"of shape \(2,\), but other bytes"),
        ("<f8", "(0, 9999999999999999999)", r"of shape \(0, 9999999999999999999\): "),
    ],
)
def test_members_that_are_no_arrays_are_refused(dtype, shape, message, path, original):
    described = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    member = b"\x93NUMPY\x01\x00" + len(described).to_bytes(2, "little") + described
    header, arrays = parts_of(original[1])
    path.write_bytes(bytes_of(header, arrays | {"more.npy": member}))
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_a_header_with_nan_is_refused(path, original):
    header, arrays = parts_of(original[1])
    path.write_bytes(bytes_of(header | {"sklearn_rnn": np.nan}, arrays))
    with pytest.raises(ModelFileError, match="has NaN in header"):
        load(path)
