"""Sequences as a column of objects: 2-D data for clients that insist on it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from refusals import LABELS, TARGETS, classifier, object_array, regressor, rows, sequences
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed, to_object_column


def frames():
    pd = pytest.importorskip("pandas", reason="makes frames of pandas")
    return [pd.DataFrame(x, columns=["speed", "angle"]) for x in sequences()]


def test_a_column_has_the_sequences_themselves():
    X = sequences()
    for form in (X, tuple(X), object_array(X), to_object_column(X)):
        column = to_object_column(form)
        assert column.shape == (6, 1)
        assert column.dtype == object
        assert all(item is x for item, x in zip(column[:, 0], X, strict=True))
    array = np.ones((3, 4, 2))
    column = to_object_column(array)
    assert column.shape == (3, 1)
    assert all(np.shares_memory(item, array) for item in column[:, 0])
    nested = to_object_column([[1.0, 2.0], [3.0, 4.0]])
    assert_array_equal(nested[1, 0], [3.0, 4.0])


def test_a_column_is_read_as_a_list():
    X, column = sequences(), to_object_column(sequences())
    reference, clf = classifier().fit(X, LABELS), classifier().fit(column, LABELS)
    assert clf.n_features_in_ == 2
    assert_array_equal(clf.predict_proba(column), reference.predict_proba(X))
    assert_array_equal(clf.predict_proba(X), reference.predict_proba(column))


def test_frames_in_a_column_keep_their_names():
    column = to_object_column(frames())
    assert_array_equal(classifier().fit(column, LABELS).feature_names_in_, ["speed", "angle"])


@pytest.mark.parametrize("X", [rows(), rows().tolist()[0], [0.5, 1.0]], ids=["2-D", "numbers", "two numbers"])
def test_2d_data_are_refused(X):
    with pytest.raises(ValueError, match=r"^X is 2-D or has no sequences: pass a list of arrays \(n_steps_i, "):
        to_object_column(X)


# ---- Clients, more of them in tests/clients -----------------------------------------------------------


def test_other_clients_take_a_column():
    X = to_object_column(sequences())
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), regressor())
    both = MultiOutputRegressor(pipeline).fit(X, np.c_[TARGETS, -TARGETS])
    assert both.predict(X).shape == (6, 2)
    X_train, X_test, y_train, _ = train_test_split(X, TARGETS, random_state=0)
    assert X_train.shape == (4, 1)
    assert pipeline.fit(X_train, y_train).predict(X_test).shape == (2,)
    expected = cross_val_predict(pipeline, sequences(), TARGETS, cv=3)
    assert_array_equal(cross_val_predict(pipeline, X, TARGETS, cv=3), expected)


def test_a_ragged_sequence_of_lists_is_named():
    with pytest.raises(ValueError, match=r"^X\[1\] is not an array of shape \(n_steps, n_features\): setting an array"):
        to_object_column([[[1, 2]], [[1, 2], [3]]])
