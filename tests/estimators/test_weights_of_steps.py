"""Weights of steps, targets known at some steps only, and weight 0 as removal."""

import warnings

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss, r2_score
from small_estimators import (
    LENGTHS,
    READOUTS,
    WEIGHTS,
    assert_same_weights,
    assert_weights_are_close,
    classifier,
    have_same_weights,
    regressor,
    small_data,
)

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
N = len(LENGTHS)


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def random_weights(seed=3):
    """A weight for every step; some are 0, and one sequence has none."""
    generator = np.random.default_rng(seed)
    weights = [generator.integers(0, 3, size=n) * generator.uniform(0.5, 2, size=n) for n in LENGTHS]
    weights[3] = np.zeros(LENGTHS[3])
    return weights


def problems(**params):
    """A classifier and a regressor for readout "each", with their targets."""
    X, labels, targets = small_data("each")
    return X, [(classifier(readout="each", **params), labels), (regressor(readout="each", **params), targets)]


def without(values, weights, missing):
    """Targets of steps that are missing wherever the weight is 0."""
    return [[missing if w == 0 else v for v, w in zip(*of_sequence)] for of_sequence in zip(values, weights)]


# ---- Weights of steps --------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"truncation": 2}, {"batch_size": 3}, {"bidirectional": True}])
def test_the_weight_of_a_sequence_is_the_one_of_its_steps(settings):
    X, estimators = problems(**settings)
    for estimator, y in estimators:
        reference = clone(estimator).fit(X, y, sample_weight=WEIGHTS)
        of_steps = [np.full(n, w) for n, w in zip(LENGTHS, WEIGHTS)]
        assert_same_weights(estimator.fit(X, y, sample_weight=of_steps), reference)
        assert estimator.score(X, y, sample_weight=of_steps) == reference.score(X, y, sample_weight=WEIGHTS)


@pytest.mark.parametrize("form", [list, tuple, object_array, lambda w: [list(of_sequence) for of_sequence in w]])
def test_ragged_weights_of_steps_have_the_forms_of_y(form):
    X, estimators = problems()
    weights = random_weights()
    for estimator, y in estimators:
        reference = clone(estimator).fit(X, y, sample_weight=weights)
        assert not have_same_weights(reference, clone(estimator).fit(X, y))
        assert_same_weights(estimator.fit(X, y, sample_weight=form(weights)), reference)


def test_weights_may_be_pandas_series():
    pandas = pytest.importorskip("pandas", reason="the weights are in pandas objects")
    X, estimators = problems()
    for estimator, y in estimators:
        reference = clone(estimator).fit(X, y, sample_weight=random_weights())
        assert_same_weights(estimator.fit(X, y, sample_weight=pandas.Series(random_weights())), reference)
        reference.fit(X, y, sample_weight=WEIGHTS)
        assert_same_weights(estimator.fit(X, y, sample_weight=pandas.Series(WEIGHTS)), reference)
        reference.fit(X, y, sample_weight=2)
        assert_same_weights(estimator.fit(X, y, sample_weight=np.array(2.0)), reference)


def test_dates_may_be_labels_and_missing():
    dates = np.array(["2020-01-01", "2020-01-02", "NaT"], "M8[D]")
    X, labels, _ = small_data("each")
    clf = classifier(readout="each").fit(X, [dates[of_sequence] for of_sequence in labels])
    assert_array_equal(clf.classes_, dates[:2])


def test_weights_of_steps_may_be_two_dimensional():
    lengths = (4,) * N
    X, labels, targets = small_data("each", lengths=lengths)
    weights = np.random.default_rng(0).uniform(0, 2, size=(N, 4))
    for estimator, y in ((classifier(readout="each"), labels), (regressor(readout="each"), targets)):
        reference = clone(estimator).fit(X, y, sample_weight=list(weights))
        assert_same_weights(estimator.fit(np.stack(X), np.stack(y), sample_weight=weights), reference)
        assert_same_weights(estimator.fit(X, y, sample_weight=np.asfortranarray(weights)), reference)


def test_one_number_a_sequence_is_the_weight_of_the_sequence_even_where_sequences_have_one_step():
    X, targets = make_sequences((1,) * N), [np.array([float(i)]) for i in range(N)]
    reference = regressor(readout="each").fit(X, targets, sample_weight=WEIGHTS)
    for weights in (WEIGHTS.tolist(), WEIGHTS[:, None], [[w] for w in WEIGHTS]):
        assert_same_weights(regressor(readout="each").fit(X, targets, sample_weight=weights), reference)


def test_the_training_loss_is_the_weighted_mean_over_the_steps():
    X, labels, targets = small_data("each")
    weights = random_weights()
    joined = np.concatenate(weights)
    before, after = (classifier(readout="each", alpha=0, max_iter=n) for n in (2, 3))
    before.fit(X, labels, sample_weight=weights)
    after.fit(X, labels, sample_weight=weights)
    expected = log_loss(np.concatenate(labels), np.concatenate(before.predict_proba(X)), sample_weight=joined)
    assert_allclose(after.loss_curve_[2], expected, rtol=1e-12, atol=0)
    before, after = (regressor(readout="each", alpha=0, max_iter=n, normalize_y=False) for n in (2, 3))
    before.fit(X, targets, sample_weight=weights)
    after.fit(X, targets, sample_weight=weights)
    errors = np.concatenate(before.predict(X)) - np.concatenate(targets)
    assert_allclose(after.loss_curve_[2], np.average(errors**2 / 2, weights=joined), rtol=1e-12, atol=0)


def test_the_score_weighs_steps():
    X, labels, targets = small_data("each")
    weights = random_weights()
    joined = np.concatenate(weights)
    clf, reg = classifier(readout="each").fit(X, labels), regressor(readout="each").fit(X, targets)
    accuracy = accuracy_score(np.concatenate(labels), np.concatenate(clf.predict(X)), sample_weight=joined)
    r2 = r2_score(np.concatenate(targets), np.concatenate(reg.predict(X)), sample_weight=joined)
    assert clf.score(X, labels, sample_weight=weights) == accuracy
    assert reg.score(X, targets, sample_weight=weights) == r2


def test_partial_fit_and_validation_data_take_weights_of_steps():
    X, estimators = problems()
    weights = random_weights()
    for estimator, y in estimators:
        known = {"classes": [0, 1, 2]} if estimator is estimators[0][0] else {}
        reference = clone(estimator).set_params(max_iter=1)
        reference.fit(X, y, sample_weight=weights, X_val=X, y_val=y, sample_weight_val=weights)
        assert_same_weights(clone(estimator).partial_fit(X, y, sample_weight=weights, **known), reference)
        score = reference.score(X, y, sample_weight=weights)
        assert_allclose(reference.validation_scores_, [score], rtol=1e-12, atol=1e-12)


# ---- Targets known at some steps only ----------------------------------------------------------------

LABEL_FORMS = {
    "None among integers": lambda labels, w: without(labels, w, None),
    "None, arrays of objects": lambda labels, w: [np.array(of, object) for of in without(labels, w, None)],
    "NaN among floats": lambda labels, w: [np.where(v == 0, np.nan, of) for of, v in zip(labels, w)],
}


@pytest.mark.parametrize("form", LABEL_FORMS.values(), ids=LABEL_FORMS)
def test_steps_without_a_label_have_weight_0(form):
    X, labels, _ = small_data("each")
    weights = [np.sign(w) for w in random_weights()]
    y = form(labels, weights)
    reference = classifier(readout="each").fit(X, labels, sample_weight=weights)
    validation = {"X_val": X, "y_val": y}
    clf = classifier(readout="each").fit(X, y, **validation)
    assert_same_weights(clf, reference)
    assert_array_equal(clf.classes_, [0, 1, 2])
    assert clf.classes_.dtype.kind in "if"
    score = reference.score(X, labels, sample_weight=weights)
    assert_allclose([clf.score(X, y), clf.validation_scores_[-1]], score, rtol=1e-12, atol=0)
    # With weights, both count.
    both = classifier(readout="each").fit(X, y, sample_weight=random_weights())
    assert_same_weights(both, classifier(readout="each").fit(X, labels, sample_weight=random_weights()))
    in_pieces = classifier(readout="each").partial_fit(X, y, classes=[0, 1, 2])
    once = classifier(readout="each", max_iter=1).fit(X, labels, sample_weight=weights)
    assert_same_weights(in_pieces, once)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_strings_may_be_missing_too(missing):
    X, labels, _ = small_data("each")
    weights = [np.sign(w) for w in random_weights()]
    names = [np.array(["a", "b", "c"])[of_sequence] for of_sequence in labels]
    y = without([name.tolist() for name in names], weights, missing)
    reference = classifier(readout="each").fit(X, names, sample_weight=weights)
    clf = classifier(readout="each").fit(X, y)
    assert_same_weights(clf, reference)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    assert_array_equal(np.concatenate(clf.predict(X)), np.concatenate(reference.predict(X)))
    assert clf.score(X, y) == reference.score(X, names, sample_weight=weights)
    # A sequence of NaN alone is an array of floats.
    y = [np.full(len(of_sequence), np.nan) if i == 2 else of_sequence for i, of_sequence in enumerate(names)]
    assert classifier(readout="each").fit(X, y).classes_.tolist() == ["a", "b", "c"]


def test_pandas_na_is_missing():
    pandas = pytest.importorskip("pandas", reason="pandas.NA is of pandas")
    X, labels, targets = small_data("each")
    weights = [np.sign(w) for w in random_weights()]
    y = [pandas.Series(of, dtype="Int64") for of in without(labels, weights, pandas.NA)]
    assert_same_weights(
        classifier(readout="each").fit(X, y), classifier(readout="each").fit(X, labels, sample_weight=weights)
    )
    y = [pandas.Series(of, dtype="Float64") for of in without(targets, weights, pandas.NA)]
    assert_same_weights(
        regressor(readout="each").fit(X, y), regressor(readout="each").fit(X, targets, sample_weight=weights)
    )
    y = pandas.Series([0, 1, None, 0, 1, 0, 1, 0, 1, 0], dtype="Int64")
    with pytest.raises(ValueError, match=r"^y\[2\] is (<NA>|nan): every sequence needs a label"):
        classifier().fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [None, 2])
def test_steps_with_nan_have_weight_0(n_outputs, loss):
    X, _, targets = small_data("each")
    weights = [np.sign(w) for w in random_weights()]
    if loss == "poisson":
        targets = [of_sequence**2 for of_sequence in targets]
    if n_outputs:
        targets = [np.stack([of_sequence] * n_outputs, axis=1) for of_sequence in targets]
    y = [of_sequence.copy() for of_sequence in targets]
    for of_sequence, weight in zip(y, weights):
        of_sequence[weight == 0] = np.nan
    reference = regressor(readout="each", loss=loss).fit(X, targets, sample_weight=weights)
    reg = regressor(readout="each", loss=loss).fit(X, y, X_val=X, y_val=y)
    assert_same_weights(reg, reference)
    joined = np.concatenate(weights) > 0
    expected = r2_score(np.concatenate(targets)[joined], np.concatenate(reg.predict(X))[joined])
    assert reg.score(X, y) == expected
    assert_allclose(reg.validation_scores_[-1], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("settings", [{}, {"cell": "lstm", "hidden_layer_sizes": (3, 2)}, {"truncation": 8}])
def test_unknown_last_steps_equal_sequences_that_end_before_them(settings):
    X, labels, targets = small_data("each")
    kept = [max(1, n - 2) for n in LENGTHS]
    short = [x[:n] for x, n in zip(X, kept)]
    for estimator, y, missing in (
        (classifier(readout="each", **settings), labels, None),
        (regressor(readout="each", **settings), targets, np.nan),
    ):
        masked = [[*of[:n], *[missing] * (len(of) - n)] for of, n in zip(y, kept)]
        cut = [of[:n] for of, n in zip(y, kept)]
        reference = clone(estimator).fit(short, cut)
        assert_weights_are_close(estimator.fit(X, masked), reference, **CLOSE)
        assert_allclose(estimator.loss_curve_, reference.loss_curve_, rtol=1e-12, atol=0)
        assert_allclose(estimator.score(X, masked), reference.score(short, cut), rtol=1e-12, atol=1e-12)


def test_a_class_only_among_unknown_steps_is_no_class():
    X, labels, _ = small_data("each")
    y = [np.where(of == 2, np.nan, of) for of in labels]
    assert_array_equal(classifier(readout="each").fit(X, y).classes_, [0, 1])


def test_balanced_class_weights_count_known_steps():
    X, labels, _ = small_data("each")
    weights = [np.sign(w) for w in random_weights()]
    y = without(labels, weights, None)
    settings = {"readout": "each", "class_weight": "balanced"}
    counts = np.bincount(np.concatenate(labels), np.concatenate(weights))
    by_hand = [w * (counts.sum() / (3 * counts))[of] for of, w in zip(labels, weights)]
    reference = classifier(readout="each").fit(X, labels, sample_weight=by_hand)
    assert_weights_are_close(classifier(**settings).fit(X, y), reference, **CLOSE)


def test_a_stateful_chunk_without_any_known_target_moves_the_state():
    X = np.stack(make_sequences((4,) * 3))
    for estimator, y, unknown in (
        (classifier(readout="each", stateful=True), np.arange(12).reshape(3, 4) % 2, np.full((3, 4), None)),
        (regressor(readout="each", stateful=True), np.arange(12.0).reshape(3, 4), np.full((3, 4), np.nan)),
    ):
        known = {"classes": [0, 1]} if unknown.dtype == object else {}
        reference = clone(estimator).partial_fit(X, y, sample_weight=0, **known).partial_fit(X, y)
        assert_same_weights(estimator.partial_fit(X, unknown, **known).partial_fit(X, y), reference)
        assert np.isnan(estimator.loss_curve_[0])


# ---- Weight 0 is removal -----------------------------------------------------------------------------

SETTINGS = {
    "plain": {},
    "small batches": {"batch_size": 3},
    "dropout": {"batch_size": 3, "dropout": 0.4, "hidden_layer_sizes": (3, 2)},
    "auto": {"truncation": "auto"},
    "unbiased": {"truncation": "unbiased", "truncation_stride": 2, "batch_size": 4},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.4},
    "balanced": {"class_weight": "balanced"},
    "l-bfgs": {"solver": "lbfgs"},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_weight_0_gives_the_bits_of_a_fit_without_the_sequence(settings, readout):
    X, labels, targets = small_data(readout, lengths=LENGTHS * 2)
    weights = np.resize([1.0, 0.0, 1.0, 2.0, 0.5], 2 * N)
    weights[2] = 0  # the longest
    kept = np.flatnonzero(weights)
    X_val, labels_val, targets_val = small_data(readout, seed=5)
    for make_estimator, y, y_val in ((classifier, labels, labels_val), (regressor, targets, targets_val)):
        if make_estimator is regressor and "class_weight" in settings:
            continue
        estimator = make_estimator(readout=readout, **settings)

        def taken(values, indices):
            return [values[i] for i in indices]

        validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": WEIGHTS}
        without_zeros = {
            "X_val": taken(X_val, np.flatnonzero(WEIGHTS)),
            "y_val": taken(y_val, np.flatnonzero(WEIGHTS)),
            "sample_weight_val": WEIGHTS[WEIGHTS > 0],
        }
        if "early_stopping" in settings:
            validation = without_zeros = {}
        estimator.fit(X, y, sample_weight=weights, **validation)
        reference = clone(estimator)
        reference.fit(taken(X, kept), taken(y, kept), sample_weight=weights[kept], **without_zeros)
        assert_same_weights(estimator, reference)
        for name in ("loss_curve_", "validation_loss_curve_", "validation_scores_", "n_iter_", "t_", "truncation_"):
            assert getattr(estimator, name) == getattr(reference, name), name


def test_weight_0_gives_the_bits_of_partial_fit_without_the_sequence():
    X, labels, _ = small_data()
    kept = np.flatnonzero(WEIGHTS)
    estimator, reference = classifier(batch_size=2), classifier(batch_size=2)
    for _ in range(2):
        estimator.partial_fit(X, labels, classes=[0, 1, 2], sample_weight=WEIGHTS)
        reference.partial_fit([X[i] for i in kept], labels[kept], classes=[0, 1, 2], sample_weight=WEIGHTS[kept])
    assert_same_weights(estimator, reference)


def test_the_class_of_a_sequence_of_weight_0_stays_a_class():
    X, *_ = small_data()
    labels = np.resize([0, 1], N)
    labels[1] = 2
    clf = classifier().fit(X, labels, sample_weight=WEIGHTS)
    assert_array_equal(clf.classes_, [0, 1, 2])


OVERFLOWING = {
    "squared error": (regressor(cell="rnn", activation="identity"), 1e200),
    "poisson": (regressor(loss="poisson", cell="rnn", activation="identity"), 1e5),
    "rnn of NaN": (regressor(cell="rnn", activation="relu"), 1e308),
}


@pytest.mark.parametrize(("estimator", "size"), OVERFLOWING.values(), ids=OVERFLOWING)
@pytest.mark.filterwarnings("ignore:X has features that are far from scale")
def test_a_sequence_of_weight_0_may_overflow(estimator, size):
    X, _, targets = small_data()
    targets = np.abs(targets)
    X[4] = X[4] * size
    weights = np.ones(N)
    weights[4] = 0
    kept = [i for i in range(N) if i != 4]
    fitted = clone(estimator).fit(X, targets, sample_weight=weights, X_val=X, y_val=targets, sample_weight_val=weights)
    reference = clone(estimator).fit([X[i] for i in kept], targets[kept])
    assert_same_weights(fitted, reference)
    assert fitted.n_iter_ == 3


def test_a_step_of_weight_0_may_have_an_infinite_loss():
    X, _, targets = small_data("each")
    targets = [np.abs(of_sequence) for of_sequence in targets]
    y = [of_sequence.copy() for of_sequence in targets]
    weights = [np.ones(n) for n in LENGTHS]
    for i in range(0, N, 2):
        y[i][0], weights[i][0] = 1e200, 0  # its square overflows
    reference = regressor(readout="each").fit(X, targets, sample_weight=weights)
    fitted = regressor(readout="each").fit(X, y, sample_weight=weights, X_val=X, y_val=y, sample_weight_val=weights)
    assert_same_weights(fitted, reference)
    assert fitted.n_iter_ == 3
    assert np.isfinite(fitted.validation_loss_curve_).all()


@pytest.mark.parametrize("readout", ["last", "each"])
def test_a_loss_of_weight_0_in_a_stateful_chunk_may_overflow(readout):
    X = np.stack(make_sequences((4,) * 3))
    y = np.arange(12.0).reshape(3, 4) if readout == "each" else np.arange(3.0)
    bad = y.copy()
    bad[1] = 1e200
    weights = np.array([1.0, 0.0, 2.0])
    estimator, reference = (regressor(readout=readout, stateful=True) for _ in range(2))
    estimator.partial_fit(X, bad, sample_weight=weights).partial_fit(X, y)
    reference.partial_fit(X, y, sample_weight=weights).partial_fit(X, y)
    assert_same_weights(estimator, reference)
    assert np.isfinite(estimator.loss_curve_).all()


def test_a_state_of_weight_0_that_overflows_ends_a_stateful_call_and_reaches_no_weight():
    X = np.stack(make_sequences((4,) * 3))
    estimator = regressor(readout="each", stateful=True, cell="rnn", activation="identity")
    estimator.partial_fit(X, np.ones((3, 4)))
    before = {name: weights.copy() for name, weights in estimator.weights_.items()}
    X[1] = np.sign(X[1]) * 1.7e308
    with pytest.warns(UserWarning, match="^learning_rate_init: training stopped in epoch 2"):
        estimator.partial_fit(X, np.ones((3, 4)), sample_weight=[1.0, 0.0, 1.0])
    for name, weights in before.items():
        assert_array_equal(estimator.weights_[name], weights)


# ---- Targets that look like those of steps -----------------------------------------------------------


def test_targets_of_the_shape_of_the_steps_are_read_as_outputs_with_a_warning():
    X = np.stack(make_sequences((4,) * N))
    message = (
        r"^y has shape \(10, 4\), and the sequences of X have 4 steps: y is read as 4 outputs \(or labels\) of each "
        r"sequence, not as a target at every step\. For a target at every step set readout='each'\.$"
    )
    for estimator, y in (
        (regressor(), np.random.default_rng(0).normal(size=(N, 4))),
        (classifier(), np.random.default_rng(0).integers(0, 2, size=(N, 4))),
    ):
        for method, form in (("fit", X), ("fit", list(X)), ("partial_fit", X), ("fit", X.reshape(N, 8))):
            known = {"classes": range(4)} if method == "partial_fit" and y.dtype.kind == "i" else {}
            fresh = clone(estimator).set_params(step_features=2)
            with pytest.warns(UserWarning, match=message) as caught:
                getattr(fresh, method)(form, y, **known)
            assert len(caught) == 1
            assert caught[0].filename == __file__
            assert len(fresh.predict(form)[0]) == 4
            fresh.partial_fit(form, y)  # no second warning: warnings are errors


def test_other_targets_are_read_without_a_warning():
    X = np.stack(make_sequences((4,) * N))
    ragged = [*X[1:], X[0][:3]]
    single = X[:, :1]
    y = np.random.default_rng(0).normal(size=(N, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor().fit(X, y[:, :3])
        regressor().fit(ragged, y)
        regressor().fit(single, y[:, :1])
        regressor(readout="each").fit(X, y)
