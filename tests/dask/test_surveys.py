"""The first pass over the parts: schema, coding and start of training are those of a plain fit on all data."""

import numpy as np
import pytest
from dask_data import (
    FORMS,
    WARNS_OF_EMPTY,
    announcements_ignored,
    classifier,
    cut,
    delayed,
    in_form,
    labels,
    options_of,
    pd,
    plain_of,
    regressor,
    sequences,
    values,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._base import model_of
from sklearn_rnn._utils.plain import to_plain

pytestmark = [announcements_ignored, WARNS_OF_EMPTY]


def assert_same_reading(estimator, plain):
    """Schemas are equal, codings up to rounding, and so is what a first epoch makes of full batches."""
    ours, theirs = model_of(estimator), model_of(plain)
    assert repr(to_plain(ours.schema)) == repr(to_plain(theirs.schema))
    assert type(ours.coding) is type(theirs.coding)
    for name, value in vars(theirs.coding).items():
        if name in ("mean", "scale"):
            assert_allclose(getattr(ours.coding, name), value, rtol=1e-12, atol=1e-14)
        elif name != "_units_of":
            assert_array_equal(getattr(ours.coding, name), value)
    assert estimator.n_features_in_ == plain.n_features_in_
    assert_array_equal(getattr(estimator, "feature_names_in_", []), getattr(plain, "feature_names_in_", []))
    assert_allclose(estimator.loss_curve_, plain.loss_curve_, rtol=1e-5, atol=0)
    for name, weights in plain.weights_.items():
        assert_allclose(estimator.weights_[name], weights, rtol=0, atol=1e-5)


def fitted(estimator, client, local, parts):
    """The estimator fitted on parts, and the plain one on the same data, both on full batches."""
    estimator.set_params(client=client, batch_size=1000)
    X, y, *sample_weight = local
    return estimator.fit(*parts), plain_of(estimator).fit(X, y, *sample_weight)


@pytest.mark.parametrize("form", FORMS)
def test_classes_and_schema_are_those_of_all_parts_in_every_form(form, client):
    X = sequences(equal=form in ("3-D", "2-D"))
    local, parts = in_form(form, X, labels(), client)
    assert_same_reading(*fitted(classifier(**options_of(form)), client, local, parts))


@pytest.mark.parametrize("form", FORMS)
def test_values_and_weights_are_those_of_all_parts_in_every_form(form, client):
    X = sequences(equal=form in ("3-D", "2-D"))
    sample_weight = np.arange(len(X)) % 3.0
    local, parts = in_form(form, X, values(X), client, sample_weight)
    assert_same_reading(*fitted(regressor(**options_of(form)), client, (*local, sample_weight), parts))


@pytest.mark.parametrize(
    "y_of", [lambda y: np.stack([y, -5e10 * y], 1), lambda y: np.full(len(y), 7e12)], ids=["two outputs", "constant"]
)
def test_scales_of_targets_are_those_of_all_parts(y_of, client):
    X = sequences()
    local, parts = in_form("lazy", X, y_of(values(X)), client)
    assert_same_reading(*fitted(regressor(), client, local, parts))


def test_poisson_and_float32_are_read_as_by_a_plain_fit(client):
    X = [x.astype(np.float32) for x in sequences()]
    local, parts = in_form("bag", X, np.abs(values(X)), client)
    estimator, plain = fitted(regressor(loss="poisson"), client, local, parts)
    assert_same_reading(estimator, plain)
    assert model_of(estimator).schema.dtype == np.float32


def test_parts_of_two_dtypes_are_read_in_the_wider_one(client):
    X = [x.astype(np.float32 if i < 10 else np.float64) for i, x in enumerate(sequences())]
    local, parts = in_form("lazy", X, values(X), client)
    assert_same_reading(*fitted(regressor(), client, local, parts))


def test_multilabel_targets_and_long_series_are_read_as_by_a_plain_fit(client):
    X = [np.repeat(x, 40, axis=0) for x in sequences()]
    y = np.stack([np.arange(len(X)) % 2, np.arange(len(X)) % 3 == 0], axis=1).astype(int)
    local, parts = in_form("lazy", X, y, client)
    estimator, plain = fitted(classifier(), client, local, parts)
    assert_same_reading(estimator, plain)
    assert estimator.patch_size_ > 1


def test_balanced_class_weights_are_those_of_all_parts(client):
    local, parts = in_form("bag", sequences(), labels(), client)
    assert_same_reading(*fitted(classifier(class_weight="balanced"), client, local, parts))


def test_targets_of_steps_with_unknown_ones_are_those_of_all_parts(client):
    X = sequences()
    y = [np.where(np.arange(len(x)) % 3 == 0, np.nan, x[:, 0]) for x in X]
    local, parts = in_form("lazy", X, y, client)
    assert_same_reading(*fitted(regressor(readout="each"), client, local, parts))


@pytest.mark.parametrize("dtype", ["str", "category", "own categories"])
def test_categories_are_those_of_all_sequences_with_weight(dtype, client):
    X = []
    for i, x in enumerate(sequences(n_features=1)):
        words = np.array([f"w{(i + step) % 7}" for step in range(len(x))], dtype=object)
        X.append(pd.DataFrame({"word": words, "value": x[:, 0]}))
    sample_weight = np.ones(len(X))
    sample_weight[3] = 0
    X[3].loc[0, "word"] = "of no weight"
    if dtype != "str":
        every = pd.CategoricalDtype(sorted({word for x in X for word in x["word"]}))
        X = [x.astype({"word": every if dtype == "category" else "category"}) for x in X]
    local, parts = in_form("lazy", X, labels(), client, sample_weight)
    estimator, plain = fitted(classifier(), client, (*local, sample_weight), parts)
    assert_same_reading(estimator, plain)
    assert ("of no weight" in estimator.categories_[0]) == (dtype == "category")


def test_features_far_from_scale_are_warned_of_once(client):
    X = [x * [1, 1e6] for x in sequences()]
    _, parts = in_form("lazy", X, values(X), client)
    with pytest.warns(UserWarning, match="X has features that are far from scale, 1 of 2: feature 1") as caught:
        regressor(client=client).fit(*parts)
    assert len([w for w in caught if "far from scale" in str(w.message)]) == 1


def test_empty_parts_are_said_once(client):
    X = sequences()
    _, parts = in_form("lazy", X, values(X), client)
    with pytest.warns(UserWarning, match=r"X has 1 of 4 parts without any sequence \(1\): they are left out") as caught:
        regressor(client=client).fit(*parts)
    assert len([w for w in caught if "without any sequence" in str(w.message)]) == 1


def test_a_part_without_weight_changes_nothing(client):
    X, y = sequences(), labels()
    sample_weight = np.ones(len(X))
    sample_weight[:7] = 0
    _, parts = in_form("lazy", X, y, client, sample_weight)
    with_part = classifier(client=client).fit(*parts)
    X, y = X[7:], y[7:]
    lazy = [[delayed(part, traverse=False) for part in cut(v, (0, 12, 5))] for v in (X, y)]
    with pytest.warns(UserWarning, match="without any sequence"):
        without = classifier(client=client).fit(*lazy)
    assert_array_equal(with_part.classes_, ["a", "b", "c"])
    assert_array_equal(without.classes_, ["b", "c"])
    assert with_part.t_ == without.t_ == 2 * 17
