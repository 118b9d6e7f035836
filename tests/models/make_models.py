"""Make the models of a release: small files of sklearn_rnn.save, and what they predict.

    python tests/models/make_models.py

writes tests/models/<version>/. Run it once for each release, with the compiled kernels, and commit the folder:
test_models.py then loads these files with every later version. The files of earlier releases never change.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

sys.path.insert(0, str(Path(__file__).parents[2]))

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences

LENGTHS = (5, 1, 9, 4, 7, 2, 6, 3, 8, 5)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": 0}


def ragged(seed=0, dtype=np.float64):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(n, 2)).astype(dtype) for n in LENGTHS]


def with_gaps():
    X = ragged()
    X[0][2, 0] = X[4][3, 1] = np.nan
    return X


def with_codes():
    return [np.column_stack([x, np.arange(len(x)) % 3]) for x in ragged()]


INPUTS = {
    "ragged": ragged(),
    "float32": ragged(dtype=np.float32),
    "table": np.random.default_rng(2).normal(size=(10, 8)),
    "gaps": with_gaps(),
    "codes": with_codes(),
    "tokens": [np.array(list("abcab")[: 1 + n % 5]) for n in LENGTHS],
}
CLASSES = np.array(["here", "now", "there", "now", "here"] * 2)
VALUES = np.array([x[:, 0].sum() for x in ragged()]) * 10 + 5
OF_STEPS = [np.cumsum(x[:, 0]) for x in ragged()]


def classifier(y=CLASSES, X="ragged", **params):
    return RNNClassifier(**SMALL | params).fit(INPUTS[X], y), X


def regressor(y=VALUES, X="ragged", **params):
    return RNNRegressor(**SMALL | params).fit(INPUTS[X], y), X


def pipeline(*steps, y=VALUES, X="ragged"):
    return make_pipeline(*steps).fit(INPUTS[X], y), X


def scaled_columns():
    return ColumnTransformer([("a", StandardScaler(), [0]), ("b", "passthrough", [1])], remainder="drop")


def features(**params):
    return RecurrentFeatures(8, n_scales=2, n_levels=2, random_state=0, **params)


MODELS = {
    **{f"rnn-{a}": lambda a=a: classifier(cell="rnn", activation=a) for a in ("tanh", "relu", "logistic", "identity")},
    **{f"{cell}-{r}": lambda cell=cell, r=r: regressor(cell=cell, readout=r, y=OF_STEPS if r == "each" else VALUES)
       for cell, r in (("gru", "last"), ("gru", "mean"), ("gru", "max"), ("gru", "each"), ("lstm", "each"))},
    "lstm-layers": lambda: classifier(cell="lstm", hidden_layer_sizes=(3, 2), bidirectional=True, dropout=0.2),
    "gru-layers-forward": lambda: classifier(hidden_layer_sizes=(3, 2), bidirectional=False),
    "gru-each-both": lambda: regressor(OF_STEPS, readout="each", bidirectional=True),
    "float32-gru": lambda: classifier(X="float32"),
    "float32-lstm": lambda: regressor(X="float32", cell="lstm"),
    "table": lambda: classifier(X="table", step_features=2),
    "patches": lambda: classifier(patch_size=3),
    "patches-overlap": lambda: regressor(patch_size=4, patch_stride=2, bidirectional=False),
    "embedding-codes": lambda: classifier(X="codes", categorical_features=[2]),
    "embedding-tokens": lambda: classifier(X="tokens", embedding_size=2),
    "embedding-given": lambda: regressor(X="codes", categorical_features=[2], categories=[[2, 0, 1]], patch_size=2),
    "binary": lambda: classifier(CLASSES == "now"),
    "integers": lambda: classifier(np.arange(10) % 3 - 1),
    "objects": lambda: classifier(CLASSES.astype(object)),
    "multilabel": lambda: classifier(np.column_stack([CLASSES == "now", CLASSES == "here", VALUES > 5]).astype(int)),
    "labels-of-steps": lambda: classifier([(s > 0).astype(int) for s in OF_STEPS], readout="each"),
    "outputs": lambda: regressor(np.column_stack([VALUES, -VALUES])),
    "no-scale": lambda: regressor(normalize_y=False, normalize_features=False, normalize_readout=False),
    "huber": lambda: regressor(loss="huber", truncation="auto", solver="sgd"),
    "poisson": lambda: regressor(np.abs(VALUES), loss="poisson", truncation="unbiased", solver="rmsprop"),
    "early-stopping": lambda: regressor(early_stopping=True, validation_fraction=0.3),
    "l-bfgs": lambda: classifier(solver="lbfgs"),
    "features-ridge": lambda: pipeline(features(), StandardScaler(), RidgeClassifierCV(), y=CLASSES),
    "features-pools": lambda: (features(pools=("mean", "max"), differences=False).fit(INPUTS["float32"]), "float32"),
    "features-logistic": lambda: pipeline(features(pools=("last",)), MaxAbsScaler(), LogisticRegression(), y=CLASSES),
    "pipeline-gaps": lambda: pipeline(
        ForwardFill(add_indicator=True), TimeDistributed(RobustScaler()), RNNRegressor(**SMALL), X="gaps"
    ),
    "pipeline-columns": lambda: pipeline(TimeDistributed(scaled_columns()), RNNClassifier(**SMALL), y=CLASSES),
    "pipeline-table": lambda: pipeline(
        ToSequences("by_step", step_features=2), TimeDistributed(MinMaxScaler()), features(pools=("last",)), Ridge(),
        X="table",
    ),
}  # fmt: skip
# Saved with the state of training.
WITH_TRAINING = {"gru-last", "huber", "poisson"}


def results_of(estimator, X):
    """What an estimator computes, by method, as flat arrays: numbers, and labels as strings."""
    methods = ("predict", "predict_proba") if hasattr(estimator, "predict") else ("transform",)
    results = {}
    for method in methods:
        if hasattr(estimator, method):
            values = getattr(estimator, method)(X)
            flat = np.concatenate([np.ravel(v) for v in values])
            results[method] = flat if flat.dtype.kind == "f" else flat.astype(str)
    return results


def write_inputs(folder):
    """Write all X: lists as the rows of all sequences, with their lengths."""
    arrays = {}
    for name, X in INPUTS.items():
        arrays[name] = np.concatenate(X) if isinstance(X, list) else X
        if isinstance(X, list):
            arrays[f"{name}.lengths"] = np.array([len(x) for x in X])
    np.savez_compressed(folder / "inputs.npz", **arrays)


def read_inputs(folder):
    """Return all X."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
        rows = {name: arrays[name] for name in arrays.files}
    lists = {name.removesuffix(".lengths"): ends for name, ends in rows.items() if name.endswith(".lengths")}
    tables = {name: X for name, X in rows.items() if not name.endswith(".lengths")}
    return {name: np.split(X, lists[name].cumsum()[:-1]) if name in lists else X for name, X in tables.items()}


def main():
    """Make the models of this version."""
    warnings.simplefilter("ignore")
    folder = Path(__file__).parent / sklearn_rnn.__version__
    if folder.exists():
        sys.exit(f"{folder} exists: the models of a release never change. Delete it only before the release.")
    folder.mkdir()
    write_inputs(folder)
    results = {}
    for name, make in MODELS.items():
        estimator, X = make()
        sklearn_rnn.save(estimator, folder / f"{name}.npz", with_training=name in WITH_TRAINING)
        results |= {f"{name}/{X}/{method}": values for method, values in results_of(estimator, INPUTS[X]).items()}
    np.savez_compressed(folder / "results.npz", **results)
    files = list(folder.iterdir())
    print(f"{len(MODELS)} models, {sum(file.stat().st_size for file in files) / 1000:.0f} kB in {folder}")


if __name__ == "__main__":
    main()
