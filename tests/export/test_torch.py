"""Modules of PyTorch: networks that become one, and networks that come from one."""

import pickle

import numpy as np
import pytest
from exported import FIT_LENGTHS, OTHER_LENGTHS, fitted, largest_difference, padded
from helpers import import_torch, make_sequences
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn.export import from_torch, to_torch
from sklearn_rnn.preprocessing import TimeDistributed

torch = import_torch()
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning"),
]

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCES)
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
Y = np.array([50.0, 60.0, 55.0, 40.0, 90.0, 65.0])


def sequences(lengths=OTHER_LENGTHS, dtype="float64"):
    return make_sequences(lengths, seed=5, dtype=np.dtype(dtype))


def outputs_of(module, X):
    """The results of a module for sequences, without those of padding if it has some for each step."""
    x, lengths = padded(X)
    with torch.no_grad():
        outputs = module(torch.from_numpy(x), torch.from_numpy(lengths)).numpy()
    return [row[:n] for row, n in zip(outputs, lengths)] if getattr(module, "pools", None) == () else outputs


# ---- To torch ----------------------------------------------------------------------------------------


@each_dtype
@each_direction
@pytest.mark.parametrize(("cell", "activation"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")])
def test_modules_predict_the_same(cell, activation, bidirectional, dtype):
    settings = {"cell": cell, "activation": activation, "bidirectional": bidirectional}
    X = make_sequences(FIT_LENGTHS, dtype=np.dtype(dtype))
    model, Z = fitted(RNNClassifier((4, 3), **settings), X, [0, 1, 2, 0, 1, 2]), sequences(dtype=dtype)
    assert largest_difference(outputs_of(to_torch(model), Z), model.predict_proba(Z)) < TOLERANCES[dtype]


@pytest.mark.parametrize(
    ("readout", "size", "stride"),
    [("each", 1, None), ("last", 3, None), ("mean", 5, 2), ("max", 2, 1), (("max", "last"), 4, None)],
    ids=str,
)
def test_readouts_and_patches_predict_the_same(readout, size, stride):
    X = make_sequences(FIT_LENGTHS)
    y = [x[:, 0] for x in X] if readout == "each" else Y
    model = fitted(RNNRegressor((4,), readout=readout, patch_size=size, patch_stride=stride), X, y)
    Z = sequences()
    assert largest_difference(outputs_of(to_torch(model), Z), model.predict(Z)) < 1e-12
    whole = np.stack(sequences([6] * 3))
    with torch.no_grad():
        assert largest_difference(to_torch(model)(torch.from_numpy(whole)).numpy(), model.predict(whole)) < 1e-12


@pytest.mark.parametrize(
    ("y", "params"),
    [
        ([0, 1, 0, 1, 1, 0], {}),
        (np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2]], {}),
        (Y, {"loss": "poisson"}),
        (Y, {"normalize_y": False}),
        (np.outer(Y, [1, 2]), {}),
        (Y[:, None], {}),
    ],
    ids=["binary", "multilabel", "poisson", "not normalised", "two outputs", "one column"],
)
def test_targets_of_every_kind_predict_the_same(y, params):
    is_classifier = np.asarray(y).dtype.kind == "i"
    model = fitted((RNNClassifier if is_classifier else RNNRegressor)((4,), **params), make_sequences(FIT_LENGTHS), y)
    Z = sequences()
    expected = model.predict_proba(Z) if is_classifier else model.predict(Z)
    assert largest_difference(outputs_of(to_torch(model), Z), expected) < 1e-12


def test_a_module_is_trained_and_pickled_as_any_other():
    model = fitted(RNNClassifier((4,)), make_sequences(FIT_LENGTHS), [0, 1, 2, 0, 1, 2])
    module, Z = to_torch(model), sequences()
    x, lengths = (torch.from_numpy(array) for array in padded(Z, 0.0))
    before = model.predict_proba(Z)
    torch.nn.functional.cross_entropy(module.scores(x, lengths), torch.tensor([0, 1, 2, 0, 1])).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    assert largest_difference(outputs_of(module, Z), before) > 1e-3
    assert_array_equal(model.predict_proba(Z), before)
    assert_array_equal(outputs_of(pickle.loads(pickle.dumps(module)), Z), outputs_of(module, Z))


def test_networks_that_torch_does_not_have_are_refused_by_name():
    X, y = make_sequences(FIT_LENGTHS), [0, 1, 2, 0, 1, 2]
    with pytest.raises(ValueError, match=r"cell='rnn' with activation='logistic' has no module in torch"):
        to_torch(fitted(RNNClassifier((4,), cell="rnn", activation="logistic"), X, y))
    with pytest.raises(ValueError, match=r"categorical_features cannot be exported to torch"):
        to_torch(fitted(RNNClassifier((4,), categorical_features=[0]), [list("ab"), list("b")], [0, 1]))
    pipeline = make_pipeline(TimeDistributed(StandardScaler()), RNNClassifier((4,), max_iter=1)).fit(X, y)
    with pytest.raises(ValueError, match=r"estimator has the step 'timedistributed' before the network"):
        to_torch(pipeline)
    with pytest.raises(TypeError, match=r"estimator is a StandardScaler, but it must be"):
        to_torch(StandardScaler())


# ---- From torch --------------------------------------------------------------------------------------


def modules(kind="GRU", n_outputs=3, dtype="float64", n_pools=1, **options):
    """A recurrent module of two features and four units, and a linear one."""
    torch.manual_seed(0)
    dtype = getattr(torch, dtype)
    recurrent = getattr(torch.nn, kind)(2, 4, batch_first=True, dtype=dtype, **options)
    return recurrent, torch.nn.Linear(4 * (1 + recurrent.bidirectional) * n_pools, n_outputs, dtype=dtype)


def final_scores(recurrent, linear, X):
    """The outputs of the linear module for h after the last step of each sequence, of all directions."""
    scores = []
    with torch.no_grad():
        for x in X:
            _, state = recurrent(torch.from_numpy(x)[None])
            h = state[0] if isinstance(state, tuple) else state
            scores.append(linear(h[-(1 + recurrent.bidirectional) :, 0].flatten()))
    return torch.stack(scores)


@each_dtype
@each_direction
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {}),
        ("RNN", {"nonlinearity": "relu", "bias": False}),
        ("LSTM", {}),
        ("GRU", {}),
        ("GRU", {"bias": False}),
    ],
    ids=str,
)
def test_estimators_predict_what_modules_do(kind, options, bidirectional, dtype):
    recurrent, linear = modules(kind, dtype=dtype, num_layers=2, bidirectional=bidirectional, **options)
    estimator, X = from_torch(recurrent, linear, classes=[0, 1, 2]), sequences(dtype=dtype)
    expected = torch.softmax(final_scores(recurrent, linear, X), dim=1).numpy()
    probabilities = estimator.predict_proba(X)
    assert probabilities.dtype == dtype
    assert largest_difference(probabilities, expected) < TOLERANCES[dtype]


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("classes", [["no", "yes"], ["yes", "no"]], ids=str)
def test_two_classes_have_one_output_or_two(classes, n_outputs):
    recurrent, linear = modules(n_outputs=n_outputs)
    estimator, X = from_torch(recurrent, linear, classes=classes), sequences()
    scores = final_scores(recurrent, linear, X)
    of_second = torch.sigmoid(scores[:, 0]) if n_outputs == 1 else torch.softmax(scores, dim=1)[:, 1]
    assert estimator.classes_.tolist() == ["no", "yes"]
    column = estimator.classes_.tolist().index(classes[1])
    assert largest_difference(estimator.predict_proba(X)[:, column], of_second.numpy()) < 1e-12


def test_classes_may_come_in_any_order():
    recurrent, linear = modules()
    X = sequences()
    ordered = from_torch(recurrent, linear, classes=["a", "b", "c"]).predict_proba(X)
    estimator = from_torch(recurrent, linear, classes=["b", "c", "a"])
    assert largest_difference(estimator.predict_proba(X), ordered[:, [2, 0, 1]]) < 1e-12


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_without_classes_it_is_a_regressor(n_outputs):
    recurrent, linear = modules(n_outputs=n_outputs)
    estimator, X = from_torch(recurrent, linear), sequences()
    expected = final_scores(recurrent, linear, X).numpy()
    assert isinstance(estimator, RNNRegressor)
    assert largest_difference(estimator.predict(X), expected[:, 0] if n_outputs == 1 else expected) < 1e-12


@pytest.mark.parametrize("readout", ["each", "mean", ("last", "max")], ids=str)
def test_a_network_goes_to_torch_and_back(readout):
    X = make_sequences(FIT_LENGTHS)
    y = [np.arange(len(x)) % 3 for x in X] if readout == "each" else [0, 1, 2, 0, 1, 2]
    model = fitted(RNNClassifier((4,), readout=readout, patch_size=1), X, y)
    module = to_torch(model)
    again = from_torch(module.layers[0], module.output, classes=model.classes_, readout=readout)
    assert_array_equal(
        np.concatenate(list(again.predict_proba(X))).ravel(), np.concatenate(list(model.predict_proba(X))).ravel()
    )


@pytest.mark.parametrize("way", ["warm start", "partial_fit"])
def test_training_continues_from_the_weights_of_the_modules(way):
    recurrent, linear = modules()
    params = {"learning_rate": "constant", "learning_rate_init": 1e-4, "max_iter": 2, "warm_start": True}
    estimator = from_torch(recurrent, linear, classes=[0, 1, 2], random_state=0, **params)
    X, y = make_sequences(FIT_LENGTHS), [0, 1, 2, 0, 1, 2]
    before = estimator.predict_proba(X)
    (estimator.fit if way == "warm start" else estimator.partial_fit)(X, y)
    assert 1e-6 < largest_difference(estimator.predict_proba(X), before) < 0.01
    assert estimator.n_iter_ == (2 if way == "warm start" else 1)


def test_modules_that_do_not_fit_are_refused_by_name():
    recurrent, linear = modules()
    with pytest.raises(TypeError, match=r"recurrent must be a torch.nn.RNN or .*GRU, got Linear"):
        from_torch(linear, recurrent)
    with pytest.raises(TypeError, match=r"linear must be a torch.nn.Linear, got GRU"):
        from_torch(recurrent, recurrent)
    with pytest.raises(ValueError, match=r"recurrent has proj_size=2"):
        from_torch(modules("LSTM", proj_size=2)[0], linear)
    with pytest.raises(ValueError, match=r"weights of torch.float\d+, torch.float\d+: convert both"):
        from_torch(modules(dtype="float32")[0], linear)
    with pytest.raises(ValueError, match=r"linear has in_features=4, but readout=\('last', 'max'\) gives it 8"):
        from_torch(recurrent, linear, readout=("last", "max"))
    with pytest.raises(ValueError, match=r"classes has 4 labels, but linear has out_features=3"):
        from_torch(recurrent, linear, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"classes must be at least 2 different labels, got \[0, 0, 1\]"):
        from_torch(recurrent, linear, classes=[0, 0, 1])
    with pytest.raises(ValueError, match=r"cell is given, but the modules determine it"):
        from_torch(recurrent, linear, cell="lstm")
