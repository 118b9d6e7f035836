"""Sets of the UCR and UEA archives of time series classification, in the formats in which they are handed around.

A set is one of

* NAME/NAME_TRAIN.tsv and NAME/NAME_TEST.tsv (UCR 2018): a series a line, its label first; NaN after the last step,
* NAME/NAME_TRAIN.ts and NAME/NAME_TEST.ts (timeseriesclassification.com): dimensions between colons, the label last,
* NAME.npz: ``values`` (all steps of all univariate series, one after another), ``lengths`` and ``y`` (one of each
  series) and ``n_train`` (the first ones are the training split).
"""

from __future__ import annotations

import numpy as np


def find_sets(folder):
    """Return the paths of the sets in a folder by name; of a set in several formats, the one named first above."""
    paths = [*folder.glob("*.npz"), *folder.glob("*/*_TRAIN.ts"), *folder.glob("*/*_TRAIN.tsv")]
    found = {path.stem.removesuffix("_TRAIN"): path for path in paths}
    if not found:
        raise SystemExit(f"{folder} has no set: NAME/NAME_TRAIN.tsv, NAME/NAME_TRAIN.ts or NAME.npz.")
    return dict(sorted(found.items()))


def load_set(path):
    """Return (X_train, y_train, X_test, y_test); X are lists of arrays (n_steps, n_features)."""
    if path.suffix == ".npz":
        return _load_npz(path)
    read = {".tsv": _read_tsv, ".ts": _read_ts}[path.suffix]
    return *read(path), *read(path.with_name(path.name.replace("_TRAIN", "_TEST")))


def _load_npz(path):
    with np.load(path) as arrays:
        ends, y, n_train = np.cumsum(arrays["lengths"]), arrays["y"], int(arrays["n_train"])
        X = [x[:, np.newaxis] for x in np.split(arrays["values"], ends[:-1])]
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def _read_tsv(path):
    table = np.loadtxt(path, delimiter="\t", dtype=np.float32, ndmin=2)
    series = [_without_end(row[1:, np.newaxis]) for row in table]
    return series, table[:, 0].astype(int)


def _read_ts(path):
    X, y = [], []
    lines = iter(path.read_text().splitlines())
    while not next(lines).lower().startswith("@data"):
        pass
    for line in filter(str.strip, lines):
        *dimensions, label = line.split(":")
        columns = [np.array(values.replace("?", "nan").split(","), np.float32) for values in dimensions]
        X.append(_without_end(np.column_stack(columns)))
        y.append(label.strip())
    return X, np.array(y)


def _without_end(x):
    """Drop steps of NaN after the last one with a value; fill the others with the value before them."""
    is_known = ~np.isnan(x).any(axis=1)
    x = x[: len(x) - np.argmax(is_known[::-1])]
    last_known = np.maximum.accumulate(np.where(np.isnan(x), 0, np.arange(len(x))[:, np.newaxis]), axis=0)
    return np.nan_to_num(np.take_along_axis(x, last_known, axis=0))
