"""Names of features: recorded from lists of frames, and compared as scikit-learn compares those of one frame."""

import warnings

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_array_equal
from refusals import LABELS, LENGTHS, assert_refuses, assert_training_refuses, classifier, object_array
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed

NAMES = ["speed", "angle"]


def pandas_frame(x, names=NAMES):
    pd = pytest.importorskip("pandas", reason="makes frames of pandas")
    return pd.DataFrame(x, columns=names)


def polars_frame(x, names=NAMES):
    pl = pytest.importorskip("polars", reason="makes frames of polars")
    return pl.DataFrame(dict(zip(names, x.T)))


def pyarrow_table(x, names=NAMES):
    pa = pytest.importorskip("pyarrow", reason="makes tables of pyarrow")
    return pa.table(dict(zip(names, map(pa.array, x.T.copy()))))


each_frame = pytest.mark.parametrize("frame", [pandas_frame, polars_frame, pyarrow_table])
MAKE_FORM = {"list": list, "tuple": tuple, "object array": object_array}


def frames_but(i, names, make=pandas_frame):
    """Six frames; the columns of the i-th have other names."""
    return [make(x, names if i in (j, "all") else NAMES) for j, x in enumerate(make_sequences(LENGTHS))]


@each_frame
@pytest.mark.parametrize("form", MAKE_FORM)
def test_names_of_frames_are_recorded(frame, form):
    arrays = make_sequences(LENGTHS)
    X = MAKE_FORM[form]([frame(x) for x in arrays])
    reference = classifier().fit(arrays, LABELS)
    clf = classifier().fit(X, LABELS)
    assert_array_equal(clf.feature_names_in_, NAMES)
    assert clf.feature_names_in_.dtype == object
    assert_array_equal(clf.predict_proba(X), reference.predict_proba(arrays))
    assert not hasattr(clf.fit(arrays, LABELS), "feature_names_in_")


@each_frame
def test_names_of_the_sequences_of_x_must_agree(frame):
    swapped = frames_but(3, NAMES[::-1], frame)
    message = (
        r"X\[3\]: The feature names should match those of X\[0\]\.\n"
        r"Feature names must be in the same order as in X\[0\]\.$"
    )
    assert_training_refuses(classifier(), swapped, LABELS, message=message)
    renamed = frames_but(2, ["speed", "height"], frame)
    message = (
        r"X\[2\]: The feature names should match those of X\[0\]\.\nFeature names unseen in X\[0\]:\n- height\n"
        r"Feature names seen in X\[0\], yet now missing:\n- angle$"
    )
    assert_training_refuses(classifier(), renamed, LABELS, message=message)


@each_frame
@pytest.mark.parametrize("method", ["predict", "predict_proba", "hidden_states", "score", "partial_fit", "fit"])
def test_names_must_be_those_of_the_fit(frame, method):
    clf = classifier(warm_start=True).fit(frames_but(None, None, frame), LABELS)
    y = (LABELS,) if method in ("score", "partial_fit", "fit") else ()
    for i in ("all", 4):
        place = 0 if i == "all" else i
        message = (
            rf"X\[{place}\]: The feature names should match those that were passed during fit\.\n"
            r"Feature names must be in the same order as they were in fit\.$"
        )
        assert_refuses(clf, method, frames_but(i, NAMES[::-1], frame), *y, message=message)
    message = (
        r"X\[1\]: .*\nFeature names unseen at fit time:\n- height\nFeature names seen at fit time, yet now missing:"
    )
    assert_refuses(clf, method, frames_but(1, ["speed", "height"], frame), *y, message=message)


def test_names_of_the_validation_data_are_compared_too():
    X = frames_but(None, None)
    assert_refuses(
        classifier(),
        "fit",
        X,
        LABELS,
        X_val=frames_but(2, NAMES[::-1]),
        y_val=LABELS,
        message=r"X_val\[2\]: The feature names should match those that were passed during fit\.",
    )
    with pytest.warns(UserWarning, match="^X_val does not have valid feature names, but RNNClassifier was fitted with"):
        classifier().fit(X, LABELS, X_val=make_sequences(LENGTHS), y_val=LABELS)


def test_names_on_one_side_alone_are_a_warning():
    frames, arrays = frames_but(None, None), make_sequences(LENGTHS)
    named, unnamed = classifier().fit(frames, LABELS), classifier().fit(arrays, LABELS)
    with pytest.warns(UserWarning, match="^X does not have valid feature names, but RNNClassifier was fitted with"):
        assert_array_equal(named.predict(arrays), unnamed.predict(arrays))
    with pytest.warns(UserWarning, match="^X does not have valid feature names, but RNNClassifier was fitted with"):
        named.predict(np.ones((2, 4, 2)))
    with pytest.warns(UserWarning, match="^X has feature names, but RNNClassifier was fitted without feature names"):
        assert_array_equal(unnamed.predict(frames), named.predict(frames))


def test_arrays_among_frames_are_a_warning():
    X = frames_but(None, None)
    X[2] = X[2].to_numpy()
    with pytest.warns(UserWarning, match=r"^X\[2\] does not have valid feature names, but other sequences of X have"):
        clf = classifier().fit(X, LABELS)
    assert_array_equal(clf.feature_names_in_, NAMES)


def test_names_that_are_no_strings_are_not_recorded():
    clf = classifier().fit(frames_but("all", [0, 1]), LABELS)
    assert not hasattr(clf, "feature_names_in_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(frames_but("all", [1, 0]))  # as scikit-learn: numbers are no names


def test_names_that_are_strings_in_part_are_refused():
    X = frames_but(1, ["speed", 1])
    assert_training_refuses(
        classifier(), X, LABELS, error=TypeError, message=r"X\[1\]: Feature names are only supported if all"
    )


def arrow_table_of_pairs(x, names):
    pa = pytest.importorskip("pyarrow", reason="makes tables of pyarrow")
    return pa.table(list(map(pa.array, x.T.copy())), names=names)


@pytest.mark.parametrize("make", [pandas_frame, arrow_table_of_pairs])
def test_a_name_of_two_columns_is_refused(make):
    X = frames_but("all", ["speed", "speed"], make)
    message = r"X\[0\] has several columns named 'speed': give each column a name of its own\."
    assert_refuses(classifier(), "fit", X, LABELS, message=message)
    assert_refuses(TimeDistributed(StandardScaler()), "fit", X, message=message)
    second = frames_but(1, ["speed", "speed"], make)
    with pytest.raises(ValueError, match=r"^X\[1\] has several columns named 'speed'"):
        classifier().fit(second, LABELS)


def test_time_distributed_refuses_any_label_of_two_columns():
    X = frames_but("all", [0, 0])
    transformer = TimeDistributed(StandardScaler())
    assert_refuses(transformer, "fit", X, message=r"X\[0\] has several columns named 0: ")
    pd = pytest.importorskip("pandas", reason="makes a frame of all steps")
    message = "X has several columns named 0: "
    assert_refuses(transformer, "fit", pd.concat(X, keys=range(6)), message=message)


@each_frame
def test_streams_compare_names(frame):
    X = frames_but(None, None, frame)
    clf = classifier(bidirectional=False).fit(X, LABELS)
    stream = clf.stream(n_sequences=6)
    expected = clf.predict(X)
    with pytest.raises(ValueError, match=r"^X\[3\]: The feature names should match those that were passed during fit"):
        stream.predict(frames_but(3, NAMES[::-1], frame))
    with pytest.warns(UserWarning, match="^X does not have valid feature names"):
        clf.stream(n_sequences=6).predict(make_sequences(LENGTHS))
    assert_array_equal(stream.predict(X), expected)


def test_a_step_of_a_stream_may_have_names():
    frames = frames_but(None, None)
    clf = classifier(bidirectional=False).fit(frames, LABELS)
    stream, expected = clf.stream(), clf.predict(frames[:1])
    swapped = frames[0][NAMES[::-1]]
    for step in (swapped.iloc[0], swapped.iloc[[0]]):
        with pytest.raises(ValueError, match=r"^x: The feature names should match those that were passed during fit"):
            stream.step(step)
    for _, row in frames[0].iterrows():
        prediction = stream.step(row)
    assert_array_equal(prediction, expected)


def test_a_transformer_of_steps_records_names():
    scaler = TimeDistributed(StandardScaler()).fit(frames_but(None, None))
    assert_array_equal(scaler.get_feature_names_out(), NAMES)
    with pytest.raises(ValueError, match=r"^X\[5\]: The feature names should match those that were passed during fit"):
        scaler.transform(frames_but(5, NAMES[::-1]))


def test_the_warning_about_scale_names_the_features_of_frames():
    X = [pandas_frame(1000 * x) for x in make_sequences(LENGTHS)]
    with pytest.warns(UserWarning, match=r"^X has features that are far from scale, 2 of 2: 'speed' \(mean"):
        classifier().fit(X, LABELS)


@each_frame
def test_nan_is_named_by_its_column(frame):
    X = make_sequences(LENGTHS)
    fitted = classifier().fit([frame(x) for x in X], LABELS)
    X[1][2, 1] = np.nan
    frames = [frame(x) for x in X]
    for act in (lambda: fitted.predict(frames), lambda: classifier().fit(frames, LABELS)):
        with pytest.raises(ValueError, match=r"^X contains NaN in sequence 1, step 2, feature 'angle': RNNClassifier"):
            act()
