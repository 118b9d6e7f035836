"""Predictions of collections are lazy collections of the same kind; scores are added up over parts."""

import numpy as np
import pytest
from dask_data import (
    FORMS,
    SIZES,
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    da,
    db,
    dd,
    in_form,
    labels,
    options_of,
    pd,
    regressor,
    sequences,
    values,
)
from numpy.testing import assert_allclose, assert_array_equal

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]


def in_one(form, predicted):
    """The predictions of a collection, computed, in one array."""
    if form in ("3-D", "2-D"):
        return predicted.compute()
    if form == "bag":
        return np.array(predicted.compute())
    if form == "frame":
        return predicted.compute().to_numpy()
    return np.concatenate([part.compute() for part in predicted])


def collection_of(form, X, client):
    """X alone in parts."""
    _, (X, *_) = in_form("lazy" if form in ("pairs", "futures") else form, X, labels(len(X)), client)
    return X


@pytest.mark.parametrize("form", FORMS)
def test_predictions_and_scores_of_parts_are_those_of_the_plain_estimator(form, client):
    X, y = sequences(equal=form in ("3-D", "2-D")), labels()
    sample_weight = 1.0 + np.arange(len(X)) % 3
    local, parts = in_form(form, X, y, client, sample_weight)
    clf = classifier(client=client, max_iter=10, **options_of(form)).fit(*parts)
    plain, lazy_X = clf.to_local(), collection_of(form, X, client)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        assert_array_equal(in_one(form, getattr(clf, method)(lazy_X)), getattr(plain, method)(local[0]))
        assert_array_equal(getattr(clf, method)(local[0]), getattr(plain, method)(local[0]))
    assert_allclose(clf.score(*parts), plain.score(*local, sample_weight), rtol=1e-12, atol=0)
    assert 0.2 < clf.score(*parts) < 1


def test_predictions_have_the_kind_and_the_chunks_of_x(client):
    X = sequences(equal=True)
    _, parts = in_form("3-D", X, labels(), client)
    clf = classifier(client=client).fit(*parts)
    assert isinstance(clf.predict(parts[0]), da.Array)
    assert clf.predict(parts[0]).chunks == (SIZES,)
    assert clf.predict_proba(parts[0]).chunks == (SIZES, (3,))
    assert clf.predict(parts[0]).dtype == clf.classes_.dtype
    assert isinstance(clf.predict(collection_of("bag", X, client)), db.Bag)


def test_predictions_of_a_frame_have_its_sequences_as_their_index(client):
    X = sequences()
    _, parts = in_form("frame", X, labels(), client)
    clf = classifier(client=client, **options_of("frame")).fit(*parts)
    predicted, probabilities = clf.predict(parts[0]), clf.predict_proba(parts[0])
    assert isinstance(predicted, dd.Series)
    assert predicted.compute().index.tolist() == [f"s{i:03}" for i in range(len(X))]
    assert predicted.name == "prediction"
    assert probabilities.compute().columns.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("form", ["3-D", "bag", "frame", "lazy"])
def test_predictions_of_steps_have_the_form_of_x(form, client):
    X = sequences(equal=form == "3-D")
    frames, y = [pd.DataFrame(x, columns=["f0", "f1"]) for x in X], [x[:, 0] for x in X]
    if form == "frame":  # the target is a column, which each step has
        _, (frame, _, _) = in_form(form, X, labels(), client)
        parts = (frame.drop(columns="target").assign(target=frame["f0"]), "target")
    else:
        _, parts = in_form(form, X, y, client)
    reg = regressor(client=client, readout="each", **options_of(form)).fit(*parts)
    plain, predicted = reg.to_local(), reg.predict(parts[0])
    local_X = {"3-D": lambda: np.array(X), "frame": lambda: frames}.get(form, lambda: X)()
    expected = plain.predict(local_X)
    if form == "3-D":
        assert predicted.chunks == (SIZES, (6,))
        assert_array_equal(predicted.compute(), expected)
    elif form == "frame":
        assert_array_equal(predicted.compute().to_numpy(), np.concatenate(expected))
        assert_array_equal(predicted.compute().index, parts[0].compute().index)
    else:
        predicted = predicted.compute() if form == "bag" else [x for part in predicted for x in part.compute()]
        assert_array_equal(np.concatenate(predicted), np.concatenate(expected))
    assert_allclose(reg.score(*parts), plain.score(local_X, [x[:, 0] for x in X]), rtol=1e-9, atol=0)


def test_r2_of_several_outputs_and_of_multilabel_targets_is_that_of_the_plain_estimator(client):
    X = sequences()
    y = np.stack([values(X), np.full(len(X), 3.0), values(X) ** 2], axis=1)
    local, parts = in_form("lazy", X, y, client)
    reg = regressor(client=client).fit(*parts)
    assert_allclose(reg.score(*parts), reg.to_local().score(*local), rtol=1e-9, atol=0)
    y = np.stack([np.arange(len(X)) % 2, np.arange(len(X)) % 3 == 0], axis=1).astype(int)
    local, parts = in_form("lazy", X, y, client)
    clf = classifier(client=client).fit(*parts)
    assert_allclose(clf.score(*parts), clf.to_local().score(*local), rtol=1e-12, atol=0)
