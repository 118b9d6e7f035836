"""Small estimators of many kinds for files, each with an X to predict."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures, TimeDistributed, ToSequences

LENGTHS = (5, 3, 7, 4, 6, 6, 2, 5, 4)
LABELS = np.array(["here", "now", "there"] * 3)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "n_iter_no_change": np.inf}


def sequences(dtype=np.float64):
    generator = np.random.default_rng(0)
    return [generator.normal(size=(n, 2)).astype(dtype) for n in LENGTHS]


def table(n_steps=4):
    return np.random.default_rng(1).normal(size=(9, 2 * n_steps))


def with_codes():
    return [np.column_stack([x, np.arange(len(x)) % 3]) for x in sequences()]


def with_gaps():
    X = sequences()
    X[0][2, 0] = X[3][1, 1] = np.nan
    return X


def classifier(**params):
    return RNNClassifier(**SMALL | params)


def regressor(**params):
    return RNNRegressor(**SMALL | params)


def scaled_columns():
    return ColumnTransformer([("a", StandardScaler(), [0]), ("b", "passthrough", [1])], remainder="drop")


VALUES = np.arange(9.0)
# Name: the fitted estimator, and X.
MODELS = {
    "classifier": lambda: (classifier().fit(sequences(), LABELS), sequences()),
    "regressor": lambda: (
        regressor(readout="each", step_features=2).fit(table(), table()[:, ::2]),
        table(),
    ),
    "codes": lambda: (classifier(categorical_features=[2], cell="lstm").fit(with_codes(), LABELS), with_codes()),
    "features": lambda: (
        make_pipeline(RecurrentFeatures(8, random_state=0), StandardScaler(), RidgeClassifierCV()).fit(
            sequences(), LABELS
        ),
        sequences(),
    ),
    "two classes": lambda: (
        make_pipeline(RecurrentFeatures(4, pools=("max",), random_state=0), RidgeClassifierCV()).fit(
            sequences(), LABELS == "now"
        ),
        sequences(),
    ),
    "two outputs": lambda: (
        make_pipeline(RecurrentFeatures(4, pools=("max",), random_state=0), Ridge()).fit(
            sequences(), np.column_stack([VALUES, -VALUES])
        ),
        sequences(),
    ),
    "scaled": lambda: (
        make_pipeline(ForwardFill(), TimeDistributed(RobustScaler()), regressor(cell="rnn")).fit(with_gaps(), VALUES),
        with_gaps(),
    ),
    "columns": lambda: (
        make_pipeline(TimeDistributed(scaled_columns()), classifier(patch_size=2)).fit(sequences(), LABELS == "now"),
        sequences(),
    ),
    "imputed": lambda: (
        make_pipeline(TimeDistributed(SimpleImputer(strategy="median", add_indicator=True)), regressor()).fit(
            with_gaps(), VALUES
        ),
        with_gaps(),
    ),
    "layout": lambda: (
        make_pipeline(
            ToSequences("by_step", step_features=2),
            TimeDistributed(make_pipeline(MinMaxScaler(), PCA(1))),
            RecurrentFeatures(4, pools=("last", "mean"), random_state=0),
            MaxAbsScaler(),
            Ridge(),
        ).fit(table(), VALUES),
        table(),
    ),
    "logistic": lambda: (
        make_pipeline(RecurrentFeatures(4, pools=("last",), random_state=0), LogisticRegression()).fit(
            sequences(np.float32), LABELS == "now"
        ),
        sequences(np.float32),
    ),
}
