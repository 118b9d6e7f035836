"""Inspection of fitted estimators: comparison with the engine's gradients, and errors for bad arguments."""

import copy
import pickle

import numpy as np
import pytest
from helpers import (
    NO_MASKS,
    copied,
    make_sequences,
    plain_classifier,
    plain_regressor,
    randomize,
    truncated,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNRegressor
from sklearn_rnn._base import training_problem
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.gradient_trace import trace
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn.inspection import gradient_flow, truncation_bias
from sklearn_rnn.preprocessing import TimeDistributed

# Training ends after a fixed number of epochs, without a test for convergence.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")

READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
LENGTHS = (5, 1, 7, 3, 5)

each_readout = pytest.mark.parametrize("readout", READOUTS)
each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
each_function = pytest.mark.parametrize(
    "function", [gradient_flow, lambda *data: truncation_bias(*data, [2])], ids=["flow", "bias"]
)


def make_fitted(cell="gru", readout="last", dtype=np.float64, **parameters):
    """A regressor with random weights, and its data."""
    sequences = make_sequences(LENGTHS, dtype=dtype)
    generator = np.random.default_rng(4)
    y = [generator.normal(size=(n, 2)) for n in LENGTHS] if readout == "each" else generator.normal(size=(5, 2))
    regressor = plain_regressor((3, 4), cell=cell, readout=readout, max_iter=1, random_state=0, **parameters)
    regressor.fit(sequences, y)
    randomize(regressor.weights_)
    return regressor, sequences, y


# ---- gradient_flow -----------------------------------------------------------------------------------


@each_readout
@each_cell
def test_the_flow_is_that_of_the_estimators_network_on_its_data(cell, readout):
    regressor, X, y = make_fitted(cell, readout)
    flow = gradient_flow(regressor, X, y)
    traced = trace(regressor._model.network, SquaredError(), training_problem(regressor, X, y)[1])
    assert flow.loss == traced.loss
    assert_array_equal(flow.n_sequences, [5, 4, 4, 3, 3, 1, 1])
    assert len(flow.layers) == 2
    for layer, own in zip(flow.layers, traced.layers, strict=True):
        assert_array_equal(layer.hidden_norms, own.hidden_norms)
        assert_array_equal(layer.recurrent_norms, own.own_recurrent_norms)
        preactivation_norms, dropped_norms = own.preactivation_and_dropped_norms()
        assert_array_equal(layer.preactivation_norms, preactivation_norms)
        assert_allclose(
            layer.dropped_share * np.linalg.norm(own.gradient.views["recurrent"]), dropped_norms, rtol=1e-12
        )
        assert layer.dropped_share[0] == 1
        assert layer.dropped_share[-1] == 0


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
def test_the_loss_is_that_of_training_without_the_penalty(readout):
    regressor, X, y = make_fitted(readout=readout, alpha=1.0)
    expected = 0.5 * np.mean(((regressor.predict(X) - y) / regressor.target_scale_) ** 2)
    assert_allclose(gradient_flow(regressor, X, y).loss, expected, rtol=1e-12, atol=0)


def test_with_a_target_at_each_step_the_loss_is_that_of_the_last_steps():
    regressor, X, y = make_fitted(readout="each")
    distances = [(ours[-1] - target[-1]) / regressor.target_scale_ for ours, target in zip(regressor.predict(X), y)]
    expected = 0.5 * np.mean(np.square(distances))
    assert_allclose(gradient_flow(regressor, X, y).loss, expected, rtol=1e-12, atol=0)


@each_cell
def test_the_share_is_what_truncation_drops_of_the_recurrent_gradient(cell):
    regressor, X, y = make_fitted(cell)
    dataset = training_problem(regressor, X, y)[1]
    flow = gradient_flow(regressor, X, y)
    (full,) = updates_of(regressor._model.network, SquaredError(), dataset)
    for truncation in range(1, 8):
        (cut,) = updates_of(regressor._model.network, SquaredError(), dataset, truncation)
        for depth, layer in enumerate(flow.layers):
            g, g_h = (update.gradient[f"layer_{depth}.recurrent"] for update in (full, cut))
            share = np.linalg.norm(g - g_h) / np.linalg.norm(g)
            assert_allclose(layer.dropped_share[truncation], share, rtol=0, atol=1e-12)


def test_singular_values_of_a_linear_cell_are_its_recurrent_weights():
    regressor, X, y = make_fitted("rnn", activation="identity")
    flow = gradient_flow(regressor, X, y, n_iterations=20)
    for depth, layer in enumerate(flow.layers):
        largest = np.linalg.norm(regressor.weights_[f"layer_{depth}.recurrent"], ord=2)
        assert_allclose(layer.singular_values, np.full(7, largest), rtol=1e-6, atol=0)
        assert_allclose(layer.max_singular_values, np.full(7, largest), rtol=1e-6, atol=0)


@pytest.mark.parametrize("cell", ["rnn", "gru"])  # in an LSTM, the norms of h do not show the errors of c
def test_singular_values_bound_what_a_step_does_to_an_error(cell):
    """For one sequence, in the last layer: it gets no error from other layers."""
    regressor, X, y = make_fitted(cell)
    layer = gradient_flow(regressor, X[2:3], y[2:3], n_iterations=20).layers[-1]
    assert_array_equal(layer.singular_values, layer.max_singular_values)
    ratios = layer.hidden_norms[1:] / layer.hidden_norms[:-1]
    assert (ratios <= layer.singular_values[:-1] * (1 + 1e-6)).all()


def test_means_and_maxima_are_over_the_sequences_of_a_lag():
    regressor, X, y = make_fitted("gru")
    together = gradient_flow(regressor, X, y, n_iterations=20)
    alone = [gradient_flow(regressor, X[i : i + 1], y[i : i + 1], n_iterations=20) for i in range(5)]
    for depth, layer in enumerate(together.layers):
        for lag in range(7):
            values = [
                flow.layers[depth].singular_values[lag] for flow, n in zip(alone, LENGTHS, strict=True) if n > lag
            ]
            assert_allclose(layer.singular_values[lag], np.mean(values), rtol=1e-6, atol=0)
            assert_allclose(layer.max_singular_values[lag], np.max(values), rtol=1e-6, atol=0)


def test_without_iterations_there_are_no_singular_values_and_all_else_is_the_same():
    regressor, X, y = make_fitted("lstm")
    with_values, without = gradient_flow(regressor, X, y), gradient_flow(regressor, X, y, n_iterations=0)
    for ours, others in zip(without.layers, with_values.layers, strict=True):
        assert np.isnan(ours.singular_values).all()
        assert np.isnan(ours.max_singular_values).all()
        for name in ("hidden_norms", "preactivation_norms", "recurrent_norms", "dropped_share"):
            assert_array_equal(ours[name], others[name])


def test_start_vectors_are_drawn_by_the_random_state():
    regressor, X, y = make_fitted("lstm")
    first, again, other = (
        gradient_flow(regressor, X, y, n_iterations=2, random_state=seed).layers[0].singular_values
        for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert (first != other).all()


def test_norms_that_overflow_are_infinite_and_warn_of_nothing():
    regressor, X, y = make_fitted("rnn", activation="identity")
    regressor.weights_["layer_0.recurrent"][...] *= 1e200
    flow = gradient_flow(regressor, X, y)
    assert not np.isfinite(flow.layers[0].hidden_norms[-1])
    assert np.isnan(flow.layers[0].max_singular_values[0])


def test_sequences_of_one_step_have_no_recurrent_gradient_to_share():
    regressor, X, y = make_fitted("lstm")
    for layer in gradient_flow(regressor, [x[:1] for x in X], y).layers:
        assert_array_equal(layer.recurrent_norms, [0])
        assert np.isnan(layer.dropped_share[0])
        assert layer.hidden_norms[0] > 0
        assert layer.singular_values[0] > 0


# ---- truncation_bias ---------------------------------------------------------------------------------


def sum_of_updates(regressor, X, y, truncation, stride=None):
    dataset = training_problem(regressor, X, y)[1]
    updates = updates_of(regressor._model.network, SquaredError(), dataset, truncation, stride)
    return np.concatenate([sum(update.gradient[name] for update in updates).ravel() for name in updates[0].gradient])


@pytest.mark.parametrize("stride", [None, 1])
@each_readout
@each_cell
def test_the_bias_is_that_of_the_gradients_of_training(cell, readout, stride):
    regressor, X, y = make_fitted(cell, readout)
    truncations = [4, 1, 6, 2]
    bias = truncation_bias(regressor, X, y, truncations, truncation_stride=stride)
    assert_array_equal(bias.truncations, truncations)
    full = sum_of_updates(regressor, X, y, None)
    for place, truncation in enumerate(truncations):
        cut = sum_of_updates(regressor, X, y, truncation, stride)
        norms = np.linalg.norm(cut), np.linalg.norm(full)
        assert_allclose(bias.cosine[place], cut @ full / np.prod(norms), rtol=1e-12, atol=0)
        assert_allclose(bias.relative_norm[place], norms[0] / norms[1], rtol=1e-12, atol=0)
        expected = np.linalg.norm(cut - full) / norms[1]
        assert_allclose(bias.relative_bias[place], expected, rtol=1e-10, atol=0)
    assert bias.relative_bias[1] > 0.01  # truncation to one step


@each_readout
@each_cell
def test_truncations_beyond_the_end_have_no_bias(cell, readout):
    bias = truncation_bias(*make_fitted(cell, readout), [7, 8, 1000])
    assert_array_equal(bias.cosine, np.ones(3))
    assert_array_equal(bias.relative_norm, np.ones(3))
    assert_array_equal(bias.relative_bias, np.zeros(3))


@each_readout
def test_batches_are_the_estimators_and_have_windows_of_their_own(readout):
    regressor, X, y = make_fitted(readout=readout, batch_size=2)
    backpropagation = Backpropagation(regressor._model.network, regressor._model.network.prepare(), SquaredError())
    dataset = training_problem(regressor, X, y)[1]

    def gradient(truncation):
        total = 0
        for batch in ([0, 1], [2, 3], [4]):
            packed = dataset.pack(np.array(batch))
            plan = truncated(packed.packing.n_steps, truncation)
            for _ in backpropagation.updates(packed, plan, NO_MASKS):
                total = total + backpropagation.gradient.vector
        return total

    difference = np.linalg.norm(gradient(3) - gradient(None)) / np.linalg.norm(gradient(None))
    assert_allclose(truncation_bias(regressor, X, y, [3]).relative_bias, [difference], rtol=1e-10, atol=0)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_any_number_of_jobs_gives_the_same_bits(n_jobs):
    regressor, X, y = make_fitted("lstm", "each")
    alone = truncation_bias(regressor, X, y, [1, 2, 3, 4])
    together = truncation_bias(regressor.set_params(n_jobs=n_jobs), X, y, [1, 2, 3, 4])
    assert_array_equal(alone.relative_bias, together.relative_bias)
    assert_array_equal(alone.cosine, together.cosine)


# ---- Both --------------------------------------------------------------------------------------------


@each_function
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_readout
def test_the_estimator_is_left_as_it_is(function, dtype, readout):
    regressor, X, y = make_fitted("lstm", readout, dtype)
    before = pickle.dumps(regressor)
    function(regressor, X, y)
    assert pickle.dumps(regressor) == before


@each_function
def test_float32_estimators_are_inspected_in_float64(function):
    # Without normalisation, whose targets would be rounded differently.
    single, X, y = make_fitted(dtype=np.float32, normalize_y=False)
    y = y.astype(np.float32)
    double, _, _ = make_fitted(normalize_y=False)
    for name, weights in single.weights_.items():
        double.weights_[name][...] = weights
    doubles = [sequence.astype(np.float64) for sequence in X]
    actual, expected = function(single, X, y), function(double, doubles, y)
    for ours, others in ((actual, expected), *zip(actual.get("layers", []), expected.get("layers", []), strict=True)):
        for name in set(ours) - {"layers"}:
            assert_array_equal(ours[name], others[name], err_msg=name)


@each_function
def test_steps_are_the_networks(function):
    regressor, X, y = make_fitted(patch_size=3)
    result = function(regressor, X, y)
    if function is gradient_flow:
        assert_array_equal(result.n_sequences, [5, 3, 1])
    else:
        assert 0 < result.relative_bias[0] < 1


@each_function
@pytest.mark.parametrize("form", ["rows", "array"])
def test_every_form_of_x_is_taken(function, form):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(6, 4, 2) if form == "array" else (6, 8))
    y = np.arange(6) % 3
    classifier = plain_classifier((3,), step_features=2, max_iter=1, class_weight="balanced", random_state=0).fit(X, y)
    listed = [x.reshape(4, 2) for x in X]
    same = copy.deepcopy(classifier)
    same.fit(listed, y)
    actual, expected = function(classifier, X, y), function(same, listed, y)
    assert_array_equal(actual.get("n_sequences", 0), expected.get("n_sequences", 0))
    assert_array_equal(actual.get("relative_bias", 0), expected.get("relative_bias", 0))
    assert actual.get("loss") == expected.get("loss")


@each_function
def test_what_cannot_be_inspected_is_refused(function):
    regressor, X, y = make_fitted()
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), regressor)
    with pytest.raises(TypeError, match=r"^estimator is a Pipeline, .*pipeline\[:-1\]\.transform"):
        function(pipeline, X, y)
    with pytest.raises(NotFittedError):
        function(RNNRegressor(), X, y)
    both_ways, _, _ = make_fitted(bidirectional=True)
    with pytest.raises(ValueError, match=r"^estimator has bidirectional=True: its reverse passes"):
        function(both_ways, X, y)
    with pytest.raises(ValueError, match=r"^readout='each', but the fitted network has readout='last'"):
        function(copy.deepcopy(regressor).set_params(readout="each"), X, y)


@each_function
def test_bad_data_is_refused_as_in_training(function):
    regressor, X, y = make_fitted()
    with pytest.raises(ValueError, match=r"^X has 3 features per step"):
        function(regressor, make_sequences(LENGTHS, 3), y)
    with pytest.raises(ValueError, match=r"^y has 4 entries, but X has 5 sequences"):
        function(regressor, X, y[:4])
    X[2][1] = np.nan
    with pytest.raises(ValueError, match=r"^X contains NaN in sequence 2, step 1"):
        function(regressor, X, y)


@pytest.mark.parametrize("truncations", [[], 3, [1.5], [None], [[1, 2]], "auto", [True]])
def test_truncations_are_a_list_of_integers(truncations):
    with pytest.raises(ValueError, match=r"^truncations must be a list of integers of at least 1, got"):
        truncation_bias(*make_fitted(), truncations)


def test_truncations_of_different_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^truncations "):
        truncation_bias(*make_fitted(), [[1], [2, 3]])


def test_losses_without_weight_have_no_gradient_to_follow():
    X = make_sequences((4, 6))
    y = [np.arange(len(x)) % 2 for x in X]  # both end in class 1
    settings = {"readout": "each", "class_weight": {0: 1, 1: 0}, "max_iter": 1, "n_iter_no_change": np.inf}
    classifier = plain_classifier((3,), random_state=0, **settings).fit(X, y)
    message = "^y has no target with weight at the last step of any sequence, but only losses of last steps are used"
    with pytest.raises(ValueError, match=message):
        gradient_flow(classifier, X, y)
    assert np.isfinite(gradient_flow(classifier, X, [1 - labels for labels in y]).loss)
    assert np.isfinite(truncation_bias(classifier, X, y, [2]).cosine).all()
    regressor = plain_regressor((3,), random_state=0, readout="each", max_iter=1, n_iter_no_change=np.inf)
    y = [np.append(np.ones(len(x) - 1), np.nan) for x in X]
    regressor.fit(X, y)
    with pytest.raises(ValueError, match=message):
        gradient_flow(regressor, X, y)
    assert np.isfinite(gradient_flow(regressor, X, [y[0], np.ones(6)]).loss)


def test_truncations_are_at_least_one_and_at_least_the_stride():
    data = make_fitted()
    with pytest.raises(ValueError, match=r"^truncations\[1\] is 0: it must be at least 1 step"):
        truncation_bias(*data, [3, 0, 2])
    with pytest.raises(ValueError, match=r"^truncation_stride=3 is more than truncations\[1\]=2: the losses"):
        truncation_bias(*data, [3, 2], truncation_stride=3)
    with pytest.raises(ValueError, match=r"'truncation_stride' parameter of truncation_bias"):
        truncation_bias(*data, [3, 2], truncation_stride=0)


@pytest.mark.parametrize(("name", "value"), [("n_iterations", -1), ("n_iterations", 2.5), ("random_state", "a")])
def test_settings_of_gradient_flow_are_checked(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of gradient_flow"):
        gradient_flow(*make_fitted(), **{name: value})


def test_weights_of_the_fitted_network_are_what_is_inspected():
    regressor, X, y = make_fitted("rnn")
    weights = copied(regressor.weights_)
    before = gradient_flow(regressor, X, y)
    regressor.weights_["layer_1.recurrent"][...] = 0
    cut = gradient_flow(regressor, X, y).layers[1]
    assert_array_equal(cut.hidden_norms[1:], np.zeros(6))
    regressor.weights_["layer_1.recurrent"][...] = weights["layer_1.recurrent"]
    assert_array_equal(gradient_flow(regressor, X, y).layers[1].hidden_norms, before.layers[1].hidden_norms)
