"""Training in coordinates in which the output layer's inputs have mean 0 and spread 1."""

import numpy as np
import pytest
from helpers import make_dataset, make_network, make_regression, make_sequences, numerical_gradient, updates_of
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._training import output_scaling
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.output_scaling import SMALLEST_SCALE, START_SHARE, OutputScaling, begin_scaling, measure

READOUTS = ["last", ("max", "mean"), "each"]

each_readout = pytest.mark.parametrize("readout", READOUTS)


def draw_scaling(network, seed=0):
    generator = np.random.default_rng(seed)
    return OutputScaling(generator.normal(size=network.n_pooled), generator.uniform(0.1, 2, network.n_pooled))


@each_readout
def test_both_coordinates_have_the_same_scores(readout):
    network = make_network(readout=readout)
    scaling, inputs = draw_scaling(network), np.random.default_rng(1).normal(size=(5, network.n_pooled))
    trained = scaling.as_trained(network.parameters)
    standardised = (inputs - scaling.mean) / scaling.scale
    scores = standardised @ trained.views["readout.weight"] + trained.views["readout.bias"]
    assert_allclose(scores, network.scores(inputs), rtol=1e-12, atol=1e-14)
    assert_allclose(scaling.as_network(trained), network.parameters.vector, rtol=1e-12, atol=1e-15)


@each_readout
def test_the_gradient_is_the_one_of_the_trained_coordinates(readout):
    network, dataset = make_network(readout=readout), make_regression(per_step=readout == "each")
    scaling = draw_scaling(network)
    trained = scaling.as_trained(network.parameters)

    def loss():
        network.parameters.vector[...] = scaling.as_network(trained)
        return sum(update.loss for update in updates_of(network, SquaredError(), dataset))

    expected = numerical_gradient(loss, trained.vector)
    loss()
    gradient = network.parameters.like()
    (update,) = updates_of(network, SquaredError(), dataset)
    for name, view in gradient.views.items():
        view[...] = update.gradient[name]
    scaling.transform_gradient(gradient)
    assert_allclose(gradient.vector, expected, rtol=0, atol=1e-7)


@each_readout
@pytest.mark.parametrize("values_at_once", [1, 2**22])
def test_means_and_spreads_are_weighted(readout, values_at_once, monkeypatch):
    monkeypatch.setattr(output_scaling, "VALUES_AT_ONCE", values_at_once)
    network, dataset = make_network(readout=readout, bidirectional=True), make_regression(per_step=readout == "each")
    inputs = output_scaling.output_inputs(network, dataset.sequences)
    mean = np.average(inputs, axis=0, weights=dataset.weights)
    variance = np.average((inputs - mean) ** 2, axis=0, weights=dataset.weights)
    scaling = measure(network, dataset, None)
    assert_allclose(scaling.mean, mean, rtol=1e-12, atol=1e-15)
    assert_allclose(scaling.scale, np.sqrt(variance) + SMALLEST_SCALE, rtol=1e-7, atol=0)


def test_data_without_weight_scale_nothing():
    network, dataset = make_network(), make_dataset(make_sequences(), np.zeros((5, 2)), np.zeros(5))
    mean, scale = measure(network, dataset, None)
    assert_array_equal(mean, np.zeros(network.n_pooled))
    assert_array_equal(scale, np.ones(network.n_pooled))


def test_training_starts_from_small_weights_of_the_scaled_inputs():
    network, dataset = make_network(), make_regression()
    before = network.parameters.copy()
    scaling = begin_scaling(network, dataset, None)
    trained = scaling.as_trained(network.parameters)
    assert_allclose(trained.views["readout.weight"], START_SHARE * before.views["readout.weight"], rtol=1e-12, atol=0)
    assert_allclose(trained.views["readout.bias"], before.views["readout.bias"], rtol=1e-10, atol=1e-14)
    assert_array_equal(network.parameters.views["layer_0.recurrent"], before.views["layer_0.recurrent"])


SETTINGS = {"hidden_layer_sizes": (4,), "random_state": 0, "normalize_readout": True, "alpha": 0.0}


def data(readout="last", n=40):
    X = np.random.default_rng(0).normal(size=(n, 6, 2))
    return X, X[:, :, 0].cumsum(axis=1) if readout == "each" else X[:, :, 0].sum(axis=1)


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "lbfgs"])
@each_readout
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_learns(solver, readout):
    X, y = data(readout)
    reg = RNNRegressor(**SETTINGS, solver=solver, readout=readout, learning_rate_init=0.01, max_iter=100, tol=1e-6)
    assert reg.fit(X, y).score(X, y) > 0.8


def test_features_that_differ_little_are_learned():
    X, _ = data()
    X *= 0.05  # the states differ by a twentieth too
    y = X[:, -1, 0] / X[:, -1, 0].std()
    settings = SETTINGS | {"max_iter": 30, "n_iter_no_change": np.inf, "learning_rate_init": 0.01}
    scaled, plain = (RNNRegressor(**settings | {"normalize_readout": is_scaled}) for is_scaled in (True, False))
    assert scaled.fit(X, y).score(X, y) > plain.fit(X, y).score(X, y) + 0.2


def test_fits_have_the_same_bits_for_any_number_of_threads():
    X, y = data(n=80)
    settings = SETTINGS | {"hidden_layer_sizes": 64, "max_iter": 2, "n_iter_no_change": np.inf}
    one, two = (RNNRegressor(**settings, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    assert_array_equal(one.predict(X), two.predict(X))


def test_later_training_keeps_the_coordinates_of_the_first_fit():
    X, y = data()
    reg = RNNRegressor(**SETTINGS | {"max_iter": 3, "n_iter_no_change": np.inf}).fit(X, y)
    scaling = reg._session.scaling
    assert_array_equal(reg.partial_fit(X[:5], y[:5])._session.scaling.mean, scaling.mean)
    reg.set_params(warm_start=True).fit(X[5:], y[5:])
    assert_array_equal(reg._session.scaling.mean, scaling.mean)


def test_only_fit_measures_and_only_if_asked():
    X, y = data()
    labels = (y > 0).astype(int)
    plain = RNNClassifier(**SETTINGS | {"normalize_readout": False, "max_iter": 2, "n_iter_no_change": np.inf})
    assert plain.fit(X, labels)._session.scaling is None
    chunked = RNNClassifier(**SETTINGS).partial_fit(X, labels, classes=[0, 1])
    unfitted = RNNClassifier(**SETTINGS | {"normalize_readout": False}).partial_fit(X, labels, classes=[0, 1])
    assert_array_equal(chunked.predict_proba(X), unfitted.predict_proba(X))
