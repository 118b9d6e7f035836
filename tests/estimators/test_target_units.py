"""normalize_y: training in units of the targets' mean and spread."""

import pickle
import re
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import r2_score
from small_estimators import WEIGHTS, assert_same_weights, assert_weights_are_close, regressor, small_data

from sklearn_rnn import RNNRegressor

LOSSES = ("squared_error", "absolute_error", "huber", "poisson")

each_loss = pytest.mark.parametrize("loss", LOSSES)


def far_targets(readout="last"):
    """Sequences, and positive targets that are far from scale."""
    X, _, targets = small_data(readout)
    if readout == "each":
        return X, [300 + 20 * target for target in targets]
    return X, 300 + 20 * targets


def levels(n=120, dtype=np.float64):
    """Sequences of a level and noise, (n, 6, 1), and their means."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, 1, 1)) + generator.normal(scale=0.3, size=(n, 6, 1))
    return X.astype(dtype), X.mean(axis=(1, 2))


# ---- Targets of any scale ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")  # of lbfgs
@pytest.mark.parametrize(
    ("cell", "solver", "dtype"),
    [
        ("rnn", "adam", np.float64),
        ("gru", "sgd", np.float64),
        ("lstm", "rmsprop", np.float32),
        ("gru", "lbfgs", np.float32),
    ],
)
def test_targets_far_from_scale_are_learned_with_every_loss(cell, solver, dtype):
    X, means = levels(dtype=dtype)
    n_iterations = 30 if solver == "lbfgs" else 60
    settings = {
        "hidden_layer_sizes": (16,),
        "cell": cell,
        "solver": solver,
        "max_iter": n_iterations,
        "random_state": 0,
    }
    for loss in LOSSES:
        reg = RNNRegressor(loss=loss, learning_rate="cosine", learning_rate_init=0.01, **settings)
        for scale, offset in ((4, 300), (5000, 0)):
            y = offset + scale * means
            if loss == "poisson" and y.min() < 0:
                continue
            assert reg.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.95, (loss, scale)


@each_loss
def test_several_outputs_have_units_of_their_own(loss):
    X, means = levels()
    y = np.column_stack([300 + 4 * means, np.full(len(X), 7.0), 1e-6 * (means + 9), 3e6 - 1e5 * means])
    reg = RNNRegressor((16,), loss=loss, max_iter=60, learning_rate="cosine", learning_rate_init=0.01, random_state=0)
    predicted = reg.fit(X[:90], y[:90]).predict(X[90:])
    for output in (0, 2, 3):
        assert r2_score(y[90:, output], predicted[:, output]) > 0.95
    assert_allclose(predicted[:, 1], 7, rtol=1e-1, atol=0)
    assert reg.score(X[90:], y[90:]) == r2_score(y[90:], predicted)


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e12, 1e200])
def test_the_unit_of_the_targets_does_not_matter(scale):
    X, means = levels(40)
    small, large = (regressor().fit(X, unit * means) for unit in (1.0, scale))
    assert_weights_are_close(large, small, rtol=1e-9, atol=1e-12)
    assert_allclose(large.predict(X), scale * small.predict(X), rtol=1e-9, atol=0)
    assert_allclose(large.loss_curve_, small.loss_curve_, rtol=1e-9, atol=0)


# ---- Against normalisation by hand -------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["last", "each"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_training_is_that_on_targets_normalised_by_hand(loss, readout):
    X, y = far_targets(readout)
    reg = regressor(loss=loss, readout=readout).fit(X, y, sample_weight=WEIGHTS)
    mean, scale = reg.target_mean_, reg.target_scale_
    by_hand = [(target - mean) / scale for target in y] if readout == "each" else (y - mean) / scale
    reference = regressor(loss=loss, readout=readout, normalize_y=False).fit(X, by_hand, sample_weight=WEIGHTS)
    assert_same_weights(reg, reference)
    assert reg.loss_curve_ == reference.loss_curve_
    assert reg.gradient_norms_ == reference.gradient_norms_
    for ours, theirs in zip(reg.predict(X), reference.predict(X)):
        assert_allclose(ours, theirs * scale + mean if readout == "each" else theirs * scale[0] + mean[0], rtol=1e-15)


def test_poisson_predicts_the_exponential_of_scaled_scores():
    X, y = far_targets()
    reg = regressor(loss="poisson").fit(X, y, sample_weight=WEIGHTS)
    mean = np.average(y, weights=WEIGHTS)
    variation = np.sqrt(np.average((y - mean) ** 2, weights=WEIGHTS)) / mean
    assert_allclose(reg.target_mean_, [np.log(mean)], rtol=1e-14, atol=0)
    assert_allclose(reg.target_scale_, [np.sqrt(np.log(1 + variation**2))], rtol=1e-12, atol=0)
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        scores = hidden[-1] @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        assert_allclose(predicted, np.exp(reg.target_mean_ + reg.target_scale_ * scores)[0], rtol=1e-12, atol=0)


def test_without_normalisation_the_network_gets_the_targets_themselves():
    X, y = far_targets()
    reg = regressor(normalize_y=False).fit(X, y)
    assert_array_equal(reg.target_mean_, [0])
    assert_array_equal(reg.target_scale_, [1])
    for hidden, predicted in zip(reg.hidden_states(X), reg.predict(X)):
        scores = hidden[-1] @ reg.weights_["readout.weight"] + reg.weights_["readout.bias"]
        assert_allclose(predicted, scores[0], rtol=1e-12, atol=1e-14)


def test_float32_sequences_do_not_cost_the_targets_their_digits():
    X, means = levels(40)
    y = 2.0**30 + means  # float32 has steps of 128 there
    reg = regressor().fit(X.astype(np.float32), y)
    reference = regressor(normalize_y=False).fit(X.astype(np.float32), (y - reg.target_mean_) / reg.target_scale_)
    assert_same_weights(reg, reference)
    assert_allclose(reg.target_scale_, [means.std()], rtol=1e-6, atol=0)
    assert reg.predict(X).dtype == np.float32


@each_loss
def test_streams_predict_in_the_units_of_y(loss):
    X, y = far_targets("each")
    reg = regressor(loss=loss, readout="each").fit(X, y)
    stream = pickle.loads(pickle.dumps(reg.stream()))
    steps = np.concatenate([stream.step(x) for x in X[0]])
    assert_allclose(steps, reg.predict(X[:1])[0], rtol=1e-12, atol=0)
    assert steps.min() > 100


@each_loss
def test_validation_scores_are_those_in_the_units_of_y(loss):
    X, y = far_targets()
    y = np.column_stack([y, 1e4 + 50 * y[::-1]])
    reg = regressor(loss=loss).fit(X, y, X_val=X, y_val=y, sample_weight_val=WEIGHTS)
    expected = reg.score(X, y, sample_weight=WEIGHTS)
    assert_allclose(reg.validation_scores_[-1], expected, rtol=1e-10, atol=1e-12)


# ---- Mean and scale ----------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("readout", ["last", "each"])
def test_weights_are_repetitions_of_targets_and_weight_0_is_removal(loss, readout):
    X, y = far_targets(readout)
    weights = np.array([1, 0, 2, 3, 1, 0, 1, 2, 1, 1])
    y[1] = y[1] + 1e9  # without weight
    places = np.repeat(np.arange(len(X)), weights)
    weighted = regressor(loss=loss, readout=readout).fit(X, y, sample_weight=weights)
    repeated = regressor(loss=loss, readout=readout).fit([X[i] for i in places], [y[i] for i in places])
    assert_allclose(weighted.target_mean_, repeated.target_mean_, rtol=1e-13, atol=0)
    assert_allclose(weighted.target_scale_, repeated.target_scale_, rtol=1e-12, atol=0)
    for ours, theirs in zip(weighted.predict(X), repeated.predict(X)):
        assert_allclose(ours, theirs, rtol=1e-9, atol=0)


def test_mean_and_spread_are_over_steps_where_every_step_has_a_target():
    X, y = far_targets("each")
    reg = regressor(readout="each").fit(X, y)
    assert_allclose(reg.target_mean_, [np.concatenate(y).mean()], rtol=1e-14, atol=0)
    assert_allclose(reg.target_scale_, [np.concatenate(y).std()], rtol=1e-13, atol=0)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -3e6, 1e300])
@pytest.mark.parametrize("rounding", [0, 2])
def test_constant_targets_have_scale_1(value, rounding):
    X, *_ = small_data()
    y = np.full(len(X), value)
    y[::2] *= 1 + rounding * np.finfo(float).eps
    reg = regressor().fit(X, y)
    assert_allclose(reg.target_mean_, [value], rtol=1e-15, atol=0)
    noise = rounding * np.finfo(float).eps * abs(value)  # of 1e300 it is far more than 1
    assert_allclose(reg.target_scale_, [max(1, noise / 2)], rtol=0.01, atol=0)
    assert reg.loss_ < 1


@pytest.mark.parametrize("value", [0.0, 5000.0])
def test_constant_targets_are_learned_with_poisson_too(value):
    X, *_ = small_data()
    reg = regressor(loss="poisson").fit(X, np.full(len(X), value))
    assert_array_equal(reg.target_mean_, [np.log(value) if value else 0])
    assert_array_equal(reg.target_scale_, [1])
    # The network starts at the constant, or at 0.001, up to its random weights.
    assert_allclose(np.log(reg.predict(X)), np.log(value or 0.001), rtol=0, atol=1)


# ---- The first training decides ----------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_later_training_keeps_mean_and_scale(loss, method):
    X, y = far_targets()
    reg = regressor(loss=loss, warm_start=True)
    first = deepcopy(getattr(reg, method)(X, y))
    getattr(reg, method)(X, 2 * y)
    assert_array_equal(reg.target_mean_, first.target_mean_)
    assert_array_equal(reg.target_scale_, first.target_scale_)
    reg.set_params(warm_start=False).fit(X, 2 * y)
    assert (reg.target_mean_ != first.target_mean_).all()


@pytest.mark.parametrize("method", ["partial_fit", "fit"])
@pytest.mark.parametrize("fitted", [True, False])
def test_training_refuses_to_continue_with_another_normalize_y(method, fitted):
    X, y = far_targets()
    reg = regressor(warm_start=True, normalize_y=fitted).fit(X, y)
    before = pickle.dumps(reg._model)
    reg.set_params(normalize_y=not fitted)
    message = f"normalize_y={not fitted}, but the fitted network has normalize_y={fitted}: training continues only"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        getattr(reg, method)(X, y)
    assert pickle.dumps(reg._model) == before


@pytest.mark.parametrize("method", ["partial_fit", "fit"])
@pytest.mark.parametrize("normalize_y", [True, False])
@pytest.mark.parametrize(("fitted", "other"), [("huber", "poisson"), ("poisson", "huber")])
def test_training_refuses_to_change_the_kind_of_output(method, normalize_y, fitted, other):
    X, y = far_targets()
    reg = regressor(warm_start=True, normalize_y=normalize_y, loss=fitted).fit(X, y)
    with pytest.raises(ValueError, match=f"^loss='{other}' needs the output function '(exp|identity)', but the fitted"):
        getattr(reg.set_params(loss=other), method)(X, y)


def test_training_continues_with_another_loss_of_the_same_kind():
    X, y = far_targets()
    reg = regressor(warm_start=True).fit(X, y).set_params(loss="absolute_error").fit(X, y)
    expected = np.abs(reg.predict(X) - y).mean() / reg.target_scale_[0]
    after = reg.fit(X, y).loss_curve_[-3]  # computed before its update
    assert_allclose(after, expected, rtol=1e-3, atol=0)


@each_loss
@pytest.mark.parametrize("normalize_y", [True, False])
def test_a_first_chunk_without_weight_leaves_the_decision_to_the_next(loss, normalize_y):
    X, y = (np.stack(part) for part in zip(*[(x[:1], t[:1]) for x, t in zip(*far_targets("each"))]))
    settings = {"loss": loss, "normalize_y": normalize_y, "readout": "each", "stateful": True}
    reg = regressor(**settings).partial_fit(X, y + 1000, sample_weight=0)
    reg.reset_state().partial_fit(X, y)
    reference = regressor(**settings).partial_fit(X, y)
    if normalize_y:
        assert_array_equal(reg.target_mean_, reference.target_mean_)
        assert_array_equal(reg.target_scale_, reference.target_scale_)
        assert_same_weights(reg, reference)
    assert_array_equal(reg.target_scale_ == 1, [not normalize_y])
    unchanged = deepcopy(reg).partial_fit(X, y + 500)
    assert_array_equal(unchanged.target_mean_, reg.target_mean_)


def test_the_held_out_sequences_count_and_other_validation_data_do_not():
    X, means = levels(40)
    reg = regressor(early_stopping=True).fit(X, means)
    assert_allclose(reg.target_mean_, [means.mean()], rtol=0, atol=1e-15)
    with_validation = regressor(early_stopping=True).fit(X, means, X_val=X, y_val=means + 100)
    assert_array_equal(with_validation.target_mean_, reg.target_mean_)


def test_targets_that_are_too_far_from_the_first_ones_are_refused():
    X, means = levels(40, np.float32)
    reg = regressor().fit(X, 1e-6 * means)
    before = pickle.dumps(reg._model)
    message = "y contains 1e+36, which is too far from the targets of the first training for float32: target_mean_ is"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        reg.partial_fit(X, np.full(len(X), 1e36))
    assert pickle.dumps(reg._model) == before
    with pytest.raises(ValueError, match=r"^y contains 1e\+40, which is too large for the float32 of X"):
        reg.partial_fit(X, np.full(len(X), 1e40))
