"""The hint at rows of data frames that look like single steps, and the frames that get none."""

import warnings

import numpy as np
import pytest
import sklearn
from helpers import PLAIN
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_rnn import RNNClassifier, RNNRegressor

SMALL = PLAIN | {"hidden_layer_sizes": (2,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}
LIBRARIES = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}
N = 12
TARGETS = np.arange(N) % 2


def frame(*names, library="pandas"):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    rng = np.random.default_rng(0)
    return getattr(module, LIBRARIES[library])({name: rng.normal(size=N) for name in names})


def messages_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "sklearn_rnn runs on NumPy")  # said once a process, without kernels
        call()
    assert {warning.filename for warning in caught} <= {__file__}
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("estimator", [RNNClassifier(**SMALL), RNNRegressor(**SMALL)], ids=["classifier", "regressor"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_of_few_named_columns_is_asked_for_its_meaning_once(library, estimator, method):
    if library == "polars" and parse_version(sklearn.__version__) < parse_version("1.9"):
        pytest.skip("scikit-learn before 1.9 does not read the names of a frame of polars 2")
    X = frame("temp", "vib", library=library)
    fitted = clone(estimator)
    classes = {"classes": [0, 1]} if method == "partial_fit" and isinstance(fitted, RNNClassifier) else {}
    (message,) = messages_of(lambda: getattr(fitted, method)(X, TARGETS, **classes))
    assert message.startswith("X is a data frame with the columns ['temp', 'vib'], and each row is read as a sequence")
    assert "of 2 steps, with a column for each step." in message
    assert "preprocessing.sequences_from_frame" in message
    assert messages_of(lambda: fitted.partial_fit(X, TARGETS)) == []
    assert messages_of(lambda: fitted.predict(X)) == []


QUIET = {
    "lags": (("lag_1", "lag_2"), {}),
    "one of them with a number": (("today", "day 1"), {}),
    "hours": (("08:00", "16:00", "24:00"), {}),
    "other digits": (("\u0661", "\u0662"), {}),
    "one column": (("temp",), {}),
    "many columns": (tuple("abcde"), {}),
    "features of a step": (("temp", "vib"), {"step_features": 2}),
    "categories": (("first", "second"), {"categorical_features": [0], "categories": [[0, 1]]}),
}


@pytest.mark.parametrize(("names", "params"), QUIET.values(), ids=QUIET)
def test_frames_whose_columns_may_be_steps_get_no_hint(names, params):
    X = frame(*names)
    X = (X > 0).astype(int) if "categories" in params else X
    assert messages_of(lambda: RNNRegressor(**SMALL, **params).fit(X, TARGETS)) == []


def test_targets_for_each_column_say_that_columns_are_steps():
    X = frame("morning", "noon", "night")
    assert messages_of(lambda: RNNRegressor(**SMALL | {"readout": "each"}).fit(X, X)) == []


OTHERS = {
    "array": np.asarray,
    "list of series": lambda X: list(np.asarray(X)),
    "list of frames": lambda X: [X] * N,
    "names that are no text": lambda X: X.set_axis([0, 1], axis=1),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_other_forms_get_no_hint(make):
    X = make(frame("temp", "vib"))
    assert messages_of(lambda: RNNRegressor(**SMALL).fit(X, TARGETS)) == []


def test_validation_data_get_no_second_hint():
    X = frame("temp", "vib")
    estimator = RNNRegressor(**SMALL, early_stopping=True)
    assert len(messages_of(lambda: estimator.fit(X, TARGETS, X_val=X, y_val=TARGETS))) == 1


def test_all_folds_have_one_text_which_python_shows_once():
    X = frame("temp", "vib")
    with pytest.warns(UserWarning, match="sequences_from_frame") as caught:
        cross_val_score(RNNRegressor(**SMALL), X, TARGETS, cv=3)
    assert len({str(warning.message) for warning in caught}) == 1


def test_a_scaler_in_front_hands_over_no_names():
    X = frame("temp", "vib")
    assert messages_of(lambda: make_pipeline(StandardScaler(), RNNRegressor(**SMALL)).fit(X, TARGETS)) == []
