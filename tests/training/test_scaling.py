"""Training in coordinates in which the inputs of the first and of the output layer have mean 0 and spread 1."""

import numpy as np
import pytest
from helpers import (
    PLAIN,
    make_dataset,
    make_embedding,
    make_network,
    make_regression,
    make_sequences,
    numerical_gradient,
    updates_of,
    with_codes,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._data.patches import Patches
from sklearn_rnn._training import scaling as scaling_module
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.scaling import (
    SMALLEST_SCALE,
    START_SHARE,
    ReadoutSums,
    ScaledLayer,
    Scaling,
    begin_scaling,
    feature_moments,
    readout_sums,
    scale_of_features,
)

READOUTS = ["last", ("max", "mean"), "each"]

each_readout = pytest.mark.parametrize("readout", READOUTS)


def draw_scaling(network, seed=0):
    """Random coordinates of the first and of the output layer."""
    generator, layers = np.random.default_rng(seed), []
    for direction in network.layers[0]:
        n = direction.n_features
        statistics = generator.normal(size=n), generator.uniform(0.1, 2, n)
        layers.append(ScaledLayer(f"{direction.name}.input", f"{direction.name}.bias", *statistics))
    statistics = generator.normal(size=network.n_pooled), generator.uniform(0.1, 2, network.n_pooled)
    return Scaling([*layers, ScaledLayer("readout.weight", "readout.bias", *statistics)])


@each_readout
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_both_coordinates_have_the_same_scores(readout, cell):
    network = make_network(cell, readout=readout, bidirectional=True)
    scaling = draw_scaling(network)
    trained = scaling.as_trained(network.parameters)
    for layer in scaling.layers:
        inputs = np.random.default_rng(1).normal(size=(5, len(layer.mean)))
        standardised = (inputs - layer.mean) / layer.scale
        expected = inputs @ network.parameters.views[layer.weight] + network.parameters.views[layer.bias]
        actual = standardised @ trained.views[layer.weight] + trained.views[layer.bias]
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    assert_allclose(scaling.as_network(trained), network.parameters.vector, rtol=1e-12, atol=1e-14)


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
def test_means_and_spreads_of_states_are_weighted(readout, values_at_once, monkeypatch):
    monkeypatch.setattr(scaling_module, "VALUES_AT_ONCE", values_at_once)
    network, dataset = make_network(readout=readout, bidirectional=True), make_regression(per_step=readout == "each")
    inputs = scaling_module.output_inputs(network, dataset.sequences)
    expected = np.average(inputs, axis=0, weights=dataset.weights)
    variance = np.average((inputs - expected) ** 2, axis=0, weights=dataset.weights)
    mean, scale = readout_sums(network, dataset, None).mean_and_scale(network.dtype)
    assert_allclose(mean, expected, rtol=1e-12, atol=1e-15)
    assert_allclose(scale, np.sqrt(variance) + SMALLEST_SCALE, rtol=1e-7, atol=0)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("patches", [Patches(), Patches(3, 2)], ids=str)
def test_means_and_spreads_of_features_are_those_of_all_steps(per_step, patches):
    dataset = make_regression(per_step=per_step)
    rows = dataset.sequences.rows
    weights = dataset.weights if per_step else np.repeat(dataset.weights, dataset.sequences.lengths)
    expected = np.average(rows, axis=0, weights=weights)
    variance = np.average((rows - expected) ** 2, axis=0, weights=weights)
    if not per_step:
        dataset.sequences = patches.of(dataset.sequences)
    mean, scale = scale_of_features(feature_moments(dataset), rows.dtype)
    assert_allclose(mean, expected, rtol=1e-12, atol=1e-15)
    assert_allclose(scale, np.sqrt(variance), rtol=1e-12, atol=0)


def test_steps_of_weight_0_have_no_part_in_means_and_spreads():
    dataset = make_regression()
    expected = scale_of_features(feature_moments(dataset), np.dtype(np.float64))
    assert dataset.weights[1] == 0
    rows = dataset.sequences.rows
    rows[dataset.sequences.starts[1] : dataset.sequences.starts[2]] = 1e300  # 0 times its square is NaN
    assert_array_equal(scale_of_features(feature_moments(dataset), rows.dtype), expected)


def test_rounding_leaves_no_negative_variance():
    sums = ReadoutSums(1.0, np.array([0.1]), np.array([0.1**2 - 1e-16]))
    mean, scale = sums.mean_and_scale(np.dtype(np.float64))
    assert (mean[0], scale[0]) == (0.1, SMALLEST_SCALE)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float32, 0.0), (np.float32, 1e-30), (np.float32, 1e30), (np.float64, 1e-300), (np.float64, 1e300)],
)
def test_features_without_a_usable_spread_are_left_as_they_are(dtype, size):
    X = make_sequences(dtype=dtype)
    for x in X:
        x[:, 1] *= size
    mean, scale = scale_of_features(feature_moments(make_dataset(X, np.zeros((len(X), 1)))), np.dtype(dtype))
    assert mean[0] != 0
    assert scale[0] != 1
    assert (mean[1], scale[1]) == (0, 1)


@pytest.mark.parametrize("of_features", [False, True])
@pytest.mark.parametrize("of_readout", [False, True])
def test_training_starts_from_the_start_values_of_the_trained_coordinates(of_features, of_readout):
    network, dataset = make_network(sizes=(4, 3), bidirectional=True), make_regression()
    before = network.parameters.copy()
    scaling = begin_scaling(network, dataset, None, of_features=of_features, of_readout=of_readout)
    if not of_features and not of_readout:
        assert scaling is None
        assert_array_equal(network.parameters.vector, before.vector)
        return
    trained = scaling.as_trained(network.parameters)
    assert len(scaling.layers) == 2 * of_features + of_readout
    for name, start in before.views.items():
        share = START_SHARE if of_readout and name == "readout.weight" else 1
        assert_allclose(trained.views[name], share * start, rtol=1e-10, atol=1e-14, err_msg=name)


def test_inputs_from_an_embedding_are_left_as_they_are():
    network, dataset = make_network(embedding=make_embedding()), with_codes(make_regression())
    mean, scale = scale_of_features(feature_moments(dataset), network.dtype)
    (layer,) = begin_scaling(network, dataset, None, of_features=True, of_readout=False).layers
    assert_array_equal(layer.mean, [mean[0], 0, 0, 0, 0, 0])  # a number, and a vector of 5
    assert_array_equal(layer.scale, [scale[0], 1, 1, 1, 1, 1])


SETTINGS = PLAIN | {
    "hidden_layer_sizes": (4,),
    "random_state": 0,
    "normalize_readout": True,
    "normalize_features": True,
    "alpha": 0.0,
}


NOTHING = {"normalize_readout": False, "normalize_features": False}


def data(readout="last", n=40):
    X = np.random.default_rng(0).normal(size=(n, 6, 2))
    return X, X[:, :, 0].cumsum(axis=1) if readout == "each" else X[:, :, 0].sum(axis=1)


@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "lbfgs"])
@each_readout
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_learns(solver, readout):
    X, y = data(readout)
    reg = RNNRegressor(
        **SETTINGS | {"solver": solver, "readout": readout, "max_iter": 200, "learning_rate_init": 0.02, "tol": 1e-6}
    )
    assert reg.fit(X, y).score(X, y) > 0.8


def test_features_that_differ_little_are_learned():
    X, _ = data()
    X *= 0.05  # the states differ by a twentieth too
    y = X[:, -1, 0] / X[:, -1, 0].std()
    settings = SETTINGS | {"max_iter": 30, "n_iter_no_change": np.inf, "learning_rate_init": 0.01}
    scaled, plain = (
        RNNRegressor(**settings | {"normalize_readout": is_scaled, "normalize_features": False})
        for is_scaled in (True, False)
    )
    assert scaled.fit(X, y).score(X, y) > plain.fit(X, y).score(X, y) + 0.2


def test_fits_have_the_same_bits_for_any_number_of_threads():
    X, y = data(n=80)
    settings = SETTINGS | {"hidden_layer_sizes": 64, "max_iter": 2, "n_iter_no_change": np.inf}
    one, two = (RNNRegressor(**settings, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    assert_array_equal(one.predict(X), two.predict(X))


def test_later_training_keeps_the_coordinates_of_the_first_fit():
    X, y = data()
    reg = RNNRegressor(**SETTINGS | {"max_iter": 3, "n_iter_no_change": np.inf}).fit(X, y)
    means = [layer.mean.copy() for layer in reg._session.scaling.layers]
    for again in (reg.partial_fit(X[:5], y[:5]), reg.set_params(warm_start=True).fit(X[5:], y[5:])):
        for layer, mean in zip(again._session.scaling.layers, means, strict=True):
            assert_array_equal(layer.mean, mean)


def test_only_fit_measures_and_only_if_asked():
    X, y = data()
    labels = (y > 0).astype(int)
    plain = RNNClassifier(**SETTINGS | NOTHING | {"max_iter": 2, "n_iter_no_change": np.inf})
    assert plain.fit(X, labels)._session.scaling is None
    chunked = RNNClassifier(**SETTINGS).partial_fit(X, labels, classes=[0, 1])
    unfitted = RNNClassifier(**SETTINGS | NOTHING).partial_fit(X, labels, classes=[0, 1])
    assert_array_equal(chunked.predict_proba(X), unfitted.predict_proba(X))


@pytest.mark.parametrize("patch_size", [1, 3])
def test_features_of_any_scale_are_learned_alike(patch_size):
    X, y = data()
    settings = SETTINGS | {"max_iter": 5, "n_iter_no_change": np.inf, "patch_size": patch_size}
    expected = RNNRegressor(**settings).fit(X, y).predict(X)
    moved = X * [2, 50] + [30, -700]
    if patch_size == 1:
        assert_allclose(RNNRegressor(**settings).fit(moved, y).predict(moved), expected, rtol=1e-7, atol=1e-9)
    plain = RNNRegressor(**settings | {"normalize_features": False}).fit(moved, y).predict(moved)
    scaled = RNNRegressor(**settings | {"max_iter": 60}).fit(moved, y)
    assert np.mean((scaled.predict(moved) - y) ** 2) < 0.5 * np.mean((plain - y) ** 2)
