"""Bad parts, collections, parameters and clusters: errors name the part and the remedy, and the estimator stays."""

from types import SimpleNamespace

import numpy as np
import pytest
from dask_data import (
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    cut,
    da,
    db,
    dd,
    delayed,
    in_form,
    labels,
    pd,
    regressor,
    sequences,
    values,
)
from helpers import import_client

from sklearn_rnn.dask._cluster import versions_here

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]
X, Y = sequences(), labels()


def lazy(*arguments, sizes=(7, 12, 5)):
    """Lists of lazy parts."""
    return [[delayed(part, traverse=False) for part in cut(values, sizes)] for values in arguments]


def changed(values, i, value):
    """A copy of a list with another item."""
    return [value if k == i else item for k, item in enumerate(values)]


def assert_refused(estimator, parts, error, *texts):
    """``fit`` raises an error with all texts, and leaves the estimator as it was."""
    before = dict(vars(estimator))
    with pytest.raises(error) as caught:
        estimator.fit(*parts)
    message = str(caught.value)
    assert all(text in message for text in texts), message
    assert vars(estimator) == before
    return caught.value


# ---- Parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad_X", "bad_y", "texts"),
    [
        (changed(X, 9, np.full((3, 2), np.nan)), Y, ("X of part 1: X contains NaN in sequence 2, step 0, feature 0",)),
        (changed(X, 9, np.zeros((3, 4))), Y, ("X of part 1: X[2] has 4 features per step, but X[0] has 2",)),
        (changed(X, 9, np.zeros((0, 2))), Y, ("X of part 1: X[2] has no steps",)),
        ([*X[:7], *(x[:, :1] for x in X[7:])], Y, ("X of part 1 has 1 features per step, but X of part 0 has 2",)),
        (
            [*X[:19], *(np.full((3, 2), "word") for _ in X[19:])],
            Y,
            ("X of part 2 has categories", "X of part 0 has numbers"),
        ),
        (X, [*Y[:7], *[3] * 12, *Y[19:]], ("y of part 1 has labels such as 3", "y of part 0 such as 'a'")),
        (X, [*Y[:7], *np.eye(12, 2, dtype=int), *Y[19:]], ("y of part 1 has 2 labels a sequence",)),
        (X, ["a"] * 24, ("y has only one class, 'a'",)),
    ],
    ids=[
        "NaN",
        "features in a part",
        "no steps",
        "features of parts",
        "text",
        "types of labels",
        "multilabel",
        "one class",
    ],
)
def test_bad_data_are_named_by_part_and_sequence(bad_X, bad_y, texts, client):
    assert_refused(classifier(client=client), lazy(bad_X, list(bad_y)), ValueError, *texts)


def test_targets_that_do_not_align_are_refused(client):
    (parts_of_X,), (parts_of_y,) = lazy(X), lazy(list(Y), sizes=(7, 12, 4))
    texts = ("y of part 2: y has 4 entries, but X has 5 sequences",)
    assert_refused(classifier(client=client), (parts_of_X, parts_of_y), ValueError, *texts)
    texts = ("y has 2 parts, but X has 3",)
    assert_refused(classifier(client=client), (parts_of_X, parts_of_y[:2]), ValueError, *texts)


def test_outputs_and_weights_are_compared_over_parts(client):
    y = values(X)
    mixed = [*y[:7], *np.stack([y, y], 1)[7:19], *y[19:]]
    texts = ("y of part 1 has 2 outputs, but y of part 0 has 1",)
    assert_refused(regressor(client=client), lazy(X, mixed), ValueError, *texts)
    texts = ("sample_weight is zero for every sequence of every part",)
    assert_refused(regressor(client=client), lazy(X, y, np.zeros(24)), ValueError, *texts)
    texts = ("sample_weight of part 2: sample_weight[0] is -1",)
    assert_refused(regressor(client=client), lazy(X, y, np.where(np.arange(24) == 19, -1, 1)), ValueError, *texts)


def test_names_of_features_are_compared_over_parts(client):
    frames = [pd.DataFrame(x, columns=["f0", "f1"] if i < 19 else ["f0", "g1"]) for i, x in enumerate(X)]
    texts = ("X of part 2: The feature names should match those of X of part 0.", "- g1")
    assert_refused(classifier(client=client), lazy(frames, Y), ValueError, *texts)
    texts = ("X of part 2 has no feature names, but X of part 0 has",)
    assert_refused(classifier(client=client), lazy(frames[:19] + X[19:], Y), ValueError, *texts)


@pytest.mark.filterwarnings("ignore:X has 3 of 3 parts")
def test_parts_that_are_all_empty_are_refused(client):
    texts = ("X has no sequence in any of its 3 parts",)
    assert_refused(classifier(client=client), lazy(X, Y, sizes=(0, 0, 0)), ValueError, *texts)


def test_the_error_of_a_lazy_part_comes_through_with_the_name_of_the_part(client):
    class NoFile(Exception):
        """Of the user."""

        def __init__(self, path, reason):
            super().__init__(path, reason)

    def load():
        raise NoFile("/data/7.npy", "gone")

    parts_of_X, parts_of_y = lazy(X, Y)
    parts_of_X[2] = delayed(load)()
    error = assert_refused(classifier(client=client), (parts_of_X, parts_of_y), NoFile, "/data/7.npy")
    assert any("part 2 of X" in note for note in error.__notes__)


def test_a_fitted_estimator_is_unchanged_by_bad_parts(client):
    clf = classifier(client=client).fit(*lazy(X, Y))
    weights = clf.predict_proba(X)
    assert_refused(clf, lazy(changed(X, 9, np.full((3, 2), np.inf)), Y), ValueError, "X of part 1")
    with pytest.raises(ValueError, match="X of part 2: X has 1 features per step, but RNNClassifier is expecting 2"):
        clf.partial_fit(*lazy([*X[:19], *(x[:, :1] for x in X[19:])], Y))
    with pytest.raises(ValueError, match=r"y of part 2: y contains labels that are not in classes_: \['z'\]"):
        clf.partial_fit(*lazy(X, [*Y[:23], "z"]))
    np.testing.assert_array_equal(clf.predict_proba(X), weights)


# ---- Collections -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_memory", "texts"),
    [
        (np.zeros((24, 6, 2)), ("X is a ndarray", "dask.array.from_array(X, chunks=(6, -1, -1))", "RNNClassifier")),
        (X, ("X is a list", "dask.bag.from_sequence(X, npartitions=4)")),
        (pd.DataFrame({"a": [1.0]}), ("X is a DataFrame", "dask.dataframe.from_pandas(X, npartitions=4)")),
        (None, ("X is a NoneType", "pass a dask.array, a dask.bag, a dask.dataframe, or a list of delayed parts")),
    ],
    ids=["array", "list", "frame", "None"],
)
def test_data_in_memory_are_refused_with_the_line_that_makes_parts(in_memory, texts, client):
    assert_refused(classifier(client=client), (in_memory, Y), TypeError, *texts)


def test_a_mapped_file_of_the_client_is_refused(client, tmp_path):
    mapped = np.memmap(tmp_path / "x.dat", np.float64, "w+", shape=(4, 6, 2))
    texts = ("X is a memmap", "dask.delayed(numpy.load)(path, mmap_mode='r')")
    assert_refused(classifier(client=client), (mapped, Y), TypeError, *texts)


def test_chunks_that_cut_sequences_are_refused(client):
    cut_X = da.zeros((24, 6, 2), chunks=(12, 3, 2))
    texts = ("X has chunks ((12, 12), (3, 3), (2,))", "X.rechunk({1: -1, 2: -1})")
    assert_refused(classifier(client=client), (cut_X, da.from_array(Y, chunks=12)), ValueError, *texts)
    texts = ("y has 20 entries, but X has 24 sequences",)
    whole = da.zeros((24, 6, 2), chunks=(12, 6, 2))
    assert_refused(classifier(client=client), (whole, da.from_array(Y[:20], chunks=10)), ValueError, *texts)


def test_y_in_other_chunks_is_cut_as_x(client):
    series = np.stack([x[:3] for x in X])
    clf = classifier(client=client).fit(da.from_array(series, chunks=(12, 3, 2)), da.from_array(Y, chunks=5))
    assert clf.t_ == 48


def test_sequences_in_several_partitions_of_a_frame_are_refused_with_the_line_that_repartitions(client):
    frame = pd.concat([pd.DataFrame(x, columns=["f0", "f1"]).assign(key=i, target=Y[i]) for i, x in enumerate(X)])
    frame = frame.reset_index(drop=True)
    cut_frame = dd.from_pandas(frame, npartitions=5)
    texts = ("X has steps of", "sequences in several parts, such as", "X = X.shuffle(on='key')")
    assert_refused(classifier(client=client, by="key"), (cut_frame, "target"), ValueError, *texts)
    clf = classifier(client=client, by="key").fit(cut_frame.shuffle(on="key"), "target")
    assert clf.t_ == 48


def test_frames_need_by_and_other_collections_no_columns(client):
    _, parts = in_form("frame", X, Y, client)
    assert_refused(classifier(client=client), parts, ValueError, "X is a data frame, but by=None")
    bag = db.from_sequence(X, npartitions=2)
    assert_refused(classifier(client=client), (bag, "target"), TypeError, "y names a column, but X is no data frame")
    assert_refused(classifier(client=client), (bag,), ValueError, "requires y to be passed")
    by_key = classifier(client=client, by="key")
    assert_refused(by_key, (parts[0], "goal"), ValueError, "y='goal' is no column of X, whose columns are ['f0', 'f1'")
    assert_refused(by_key, (parts[0], "f0", ["f1", "w"]), ValueError, "sample_weight='w' is no column of X")
    ordered = classifier(client=client, by="key", order="hour")
    assert_refused(ordered, parts, ValueError, "order='hour' is no column of X")


def test_parts_without_y_must_be_tuples(client):
    parts = [delayed(part, traverse=False) for part in ((X[:7], Y[:7]), (X[7:19], Y[7:19]), X[19:])]
    texts = ("X of part 2: X has a part that is a list", "(X, y)")
    assert_refused(classifier(client=client), (parts,), TypeError, *texts)


# ---- Parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs' does not go with DaskRNNClassifier"),
        ({"stateful": True, "bidirectional": False}, "stateful=True does not go with DaskRNNClassifier"),
        ({"truncation": "auto"}, "truncation='auto' does not go with DaskRNNClassifier"),
        ({"truncation": 5, "readout": "each"}, "set local_updates, such as local_updates=10, or truncation=None"),
        ({"scoring": "f1"}, "scoring='f1' does not go with DaskRNNClassifier"),
        ({"local_updates": 0}, "The 'local_updates' parameter of DaskRNNClassifier must be"),
        ({"local_updates": "batch"}, "The 'local_updates' parameter of DaskRNNClassifier must be"),
        ({"cell": "lstm", "activation": "relu"}, "activation='relu' is only for cell='rnn'"),
    ],
    ids=str,
)
def test_parameters_that_do_not_go_with_parts_are_refused(params, text, client):
    assert_refused(classifier(client=client, **params), lazy(X, Y), ValueError, text)


def test_validation_data_are_checked_as_training_data(client):
    clf = classifier(client=client)
    train, bad = lazy(X, Y), lazy(changed(X, 3, np.full((2, 2), np.nan)), Y)
    with pytest.raises(ValueError, match="X_val of part 0: X_val contains NaN in sequence 3"):
        clf.fit(*train, X_val=bad[0], y_val=bad[1])
    with pytest.raises(ValueError, match="y_val was given alone"):
        clf.fit(*train, y_val=bad[1])
    with pytest.raises(TypeError, match="X_val is a list in the memory"):
        clf.fit(*train, X_val=X, y_val=Y)
    few = classifier(client=client, early_stopping=True, validation_fraction=0.01)
    pairs = lazy(X[:2], Y[:2], sizes=(1, 1))
    assert_refused(few, pairs, ValueError, "validation_fraction=0.01 of the 2 sequences in 2 parts leaves 0")


# ---- The cluster -------------------------------------------------------------------------------------


def test_a_client_is_needed_that_runs():
    distributed = import_client("distributed")
    assert_refused(classifier(client="tcp://here:8786"), lazy(X, Y), TypeError, "must be a distributed.Client or None")
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:
        closed = distributed.Client(cluster, set_as_default=False)
        closed.close()
        assert_refused(classifier(client=closed), lazy(X, Y), ValueError, "client is closed: make a new one")


def test_workers_with_another_version_or_other_kernels_are_told(client, monkeypatch):
    ours, asked = versions_here(), {}
    monkeypatch.setattr(client, "run", lambda function, on_error: asked)
    asked |= {"tcp://a:1": ours, "tcp://b:2": ("0.0.9", "avx2"), "tcp://c:3": OSError("died just now")}
    texts = ("1 of 2 workers have another version of sklearn_rnn, such as tcp://b:2 with 0.0.9",)
    assert_refused(classifier(client=client), lazy(X, Y), RuntimeError, *texts)
    asked["tcp://b:2"] = ModuleNotFoundError("No module named 'sklearn_rnn'")
    texts = ("the worker tcp://b:2 cannot import sklearn_rnn", "Install the same version")
    assert_refused(classifier(client=client), lazy(X, Y), RuntimeError, *texts)
    asked["tcp://b:2"] = (ours[0], "other")
    with pytest.warns(UserWarning, match="machines with different kernels"):
        classifier(client=client).fit(*lazy(X, Y))


def test_workers_that_die_and_a_lost_scheduler_are_told_plainly(client, monkeypatch):
    scheduler = import_client("distributed.scheduler")
    of_client = import_client("distributed.client")

    def fail_with(error):
        def gather(futures):
            raise error

        monkeypatch.setattr(client, "gather", gather)

    fail_with(scheduler.KilledWorker("prepare-1", SimpleNamespace(address="tcp://a:1"), 3))
    texts = ("every worker died that computed it", "tcp://a:1", "memory_limit", "allowed-failures")
    assert_refused(classifier(client=client), lazy(X, Y), RuntimeError, *texts)
    texts = ("the connection to the scheduler was lost", "fit(..., checkpoint=path)")
    for error in (of_client.FuturesCancelledError([]), of_client.FutureCancelledError("gradient-1", "lost")):
        fail_with(error)
        assert_refused(classifier(client=client), lazy(X, Y), ConnectionError, *texts)
