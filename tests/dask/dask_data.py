"""Small problems in parts, as every kind of collection that the estimators take."""

import numpy as np
import pytest
from helpers import import_client

from sklearn_rnn import RNNClassifier, RNNRegressor

import_client("distributed")
delayed = import_client("dask").delayed
da, db, dd = map(import_client, ("dask.array", "dask.bag", "dask.dataframe"))
pd = import_client("pandas")
of_dask = import_client("sklearn_rnn.dask")

# Libraries announce changes of their own.
announcements_ignored = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}
SIZES = (7, 0, 12, 5)  # sequences of each part
N = sum(SIZES)
FORMS = ("3-D", "2-D", "bag", "frame", "lazy", "pairs", "futures")
WARNS_OF_EMPTY = pytest.mark.filterwarnings("ignore:X has 1 of 4 parts without any sequence:UserWarning")


def classifier(**params):
    return of_dask.DaskRNNClassifier(**SMALL | params)


def regressor(**params):
    return of_dask.DaskRNNRegressor(**SMALL | params)


def plain_of(estimator):
    """The plain estimator with the same parameters."""
    params = estimator.get_params(deep=False)
    for name in ("client", "local_updates", "by", "order"):
        del params[name]
    return (RNNClassifier if isinstance(estimator, of_dask.DaskRNNClassifier) else RNNRegressor)(**params)


def sequences(n=N, *, n_features=2, equal=False, seed=0):
    """Sequences of noisy features, of 3 to 8 steps or all of 6."""
    generator = np.random.default_rng(seed)
    lengths = np.full(n, 6) if equal else generator.integers(3, 9, size=n)
    return [generator.normal(size=(length, n_features)) for length in lengths]


def labels(n=N):
    """Labels of three classes; the first part has two of them."""
    return np.array([("a", "b") if i < SIZES[0] else ("c", "b") for i in range(n)])[np.arange(n), np.arange(n) % 2]


def values(X):
    """The mean of the first feature of each sequence."""
    return np.array([x[:, 0].mean() for x in X]) * 3 + 2


def cut(items, sizes=SIZES):
    """Items in parts of these sizes."""
    stops = np.cumsum(sizes)
    return [items[stop - size : stop] for size, stop in zip(sizes, stops)]


def in_form(form, X, y, client, sample_weight=None, sizes=SIZES):
    """The same data for a plain estimator, (X, y), and in parts, (X, y, sample_weight): arguments of ``fit``."""
    if form in ("3-D", "2-D"):
        X = np.array(X) if form == "3-D" else np.array(X)[:, :, 0]
        collections = [da.from_array(v, chunks=(sizes, *[-1] * (v.ndim - 1))) for v in map(np.asarray, (X, y))]
        weights = None if sample_weight is None else da.from_array(sample_weight, chunks=(sizes,))
        return (X, y), (*collections, weights)
    if form == "frame":
        return (_frames_of(X), y), _frame_of(X, y, sample_weight, sizes)
    parts = [cut(v, sizes) if v is not None else [None] * len(sizes) for v in (X, y, sample_weight)]
    if form == "bag":
        bags = [
            None if v is None else db.from_delayed([delayed(list)(p) for p in part])
            for v, part in zip((X, y, sample_weight), parts)
        ]
        return (X, y), tuple(bags)
    if form == "lazy":
        lazy = [
            None if v is None else [delayed(p, traverse=False) for p in part]
            for v, part in zip((X, y, sample_weight), parts)
        ]
        return (X, y), tuple(lazy)
    tuples = [tuple(item for item in part if item is not None) for part in zip(*parts)]
    if form == "pairs":
        return (X, y), ([delayed(part, traverse=False) for part in tuples], None, None)
    return (X, y), ([client.submit(lambda part: part, part, pure=False) for part in tuples], None, None)


def _frames_of(X):
    return [pd.DataFrame(x, columns=["f0", "f1"]) for x in X]


def _frame_of(X, y, sample_weight, sizes):
    """A long frame whose partitions have whole sequences; the columns of targets and weights are named."""
    frames = []
    for i, x in enumerate(_frames_of(X)):
        frame = x.assign(key=f"s{i:03}", time=np.arange(len(x)), target=y[i])
        frames.append(frame if sample_weight is None else frame.assign(weight=sample_weight[i]))
    partitions = [pd.concat(part) if part else frames[0][:0] for part in cut(frames, sizes)]
    frame = dd.from_delayed([delayed(p, traverse=False) for p in partitions], meta=frames[0][:0])
    return frame, "target", None if sample_weight is None else "weight"


def options_of(form):
    """Parameters that a form needs."""
    return {"by": "key", "order": "time"} if form == "frame" else {}
