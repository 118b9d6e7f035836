"""Engines: both give the same numbers, one is chosen, and its numbers of states and gates are the kernels'."""

import copy
import pickle

import numpy as np
import pytest
from helpers import ENGINES, each_engine, make_network
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import engines, kernels
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.cells.cell import Cell
from sklearn_rnn._network.engines.compiled_engine import CompiledOutputLayer, CompiledRecurrence
from sklearn_rnn._network.readouts import READOUTS, NumpyLoops

needs_kernels = pytest.mark.skipif(kernels.name == "numpy", reason="no kernels serve")
each_cell = pytest.mark.parametrize("cell", CELLS)


# ---- The choice --------------------------------------------------------------------------------------


def test_the_engine_that_serves_is_that_of_the_kernels_where_there_are_any():
    assert type(engines.serving) is (engines.NumpyEngine if kernels.name == "numpy" else engines.CompiledEngine)
    assert make_network().engine is engines.serving


@each_engine
@each_cell
def test_one_assignment_changes_a_networks_engine(engine, cell):
    network = make_network(cell)
    network.engine = ENGINES[engine]
    assert isinstance(network.recurrence, CompiledRecurrence) == (engine == "compiled")
    assert isinstance(network.recurrence, Cell) == (engine == "numpy")
    assert isinstance(network.prepare(for_backward=False).output, CompiledOutputLayer) == (engine == "compiled")


@each_engine
@each_cell
def test_copies_keep_the_engine_and_pickles_take_the_one_that_serves(engine, cell, monkeypatch):
    network = make_network(cell, engine=engine)
    for twin in (copy.copy(network), copy.deepcopy(network)):
        assert twin.engine is network.engine
        assert type(twin.recurrence) is type(network.recurrence)
    pickled = pickle.dumps(network)
    for name, other in ENGINES.items():
        monkeypatch.setattr(engines, "serving", other)
        loaded = pickle.loads(pickled)
        assert loaded.engine is other
        assert isinstance(loaded.recurrence, CompiledRecurrence) == (name == "compiled")
        assert_array_equal(loaded.parameters.vector, network.parameters.vector)


# ---- The same numbers --------------------------------------------------------------------------------


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_output_layers_are_a_product_and_biases(engine, dtype):
    generator = np.random.default_rng(0)
    hidden, weight, bias = (generator.normal(size=shape) for shape in ((7, 5), (5, 3), 3))
    layer = ENGINES[engine].output_layer(weight.astype(dtype), bias.astype(dtype))
    scores = layer(hidden.astype(dtype))
    assert scores.dtype == dtype
    assert_allclose(scores, hidden @ weight + bias, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("has_memory", [False, True], ids=["new memory", "given memory"])
def test_output_layers_carry_errors_back_through_their_last_weights(engine, dtype, has_memory):
    generator = np.random.default_rng(0)
    hidden, d_scores, weight, d_weight = (generator.normal(size=shape) for shape in ((7, 5), (7, 3), (5, 3), (5, 3)))
    bias, d_bias = generator.normal(size=(2, 3))
    stale = ENGINES[engine].output_layer(weight.astype(dtype), np.zeros(3, dtype), for_backward=True)
    last = (weight.astype(dtype) * 2, bias.astype(dtype))
    layer = ENGINES[engine].output_layer(*last, for_backward=True, earlier=stale)
    gradient = {"weight": d_weight.astype(dtype), "bias": d_bias.astype(dtype)}
    out = np.full((7, 5), np.nan, dtype) if has_memory else None
    d_hidden = layer.backward(hidden.astype(dtype), d_scores.astype(dtype), gradient, out)
    assert d_hidden.dtype == dtype
    assert out is None or d_hidden is out
    atol = 5e-6 if dtype == np.float32 else 1e-14
    assert_allclose(layer(hidden.astype(dtype)), hidden @ (2 * weight) + bias, rtol=0, atol=atol)
    assert_allclose(d_hidden, d_scores @ (2 * weight).T, rtol=0, atol=atol)
    assert_allclose(gradient["weight"], d_weight + hidden.T @ d_scores, rtol=0, atol=atol)
    assert_allclose(gradient["bias"], d_bias + d_scores.sum(axis=0), rtol=0, atol=atol)


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_its_formula(engine, dtype):
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 41))
    p, g, m = start
    v = generator.uniform(0.1, 2, size=41)
    arrays = [array.astype(dtype) for array in (p, g, m, v)]
    ENGINES[engine].adam(*arrays, beta_1=0.9, beta_2=0.99, epsilon=1e-3, step=0.02, scale=3.5)
    m = 0.9 * m + 0.1 * g
    v = 0.99 * v + 0.01 * g**2
    p = p - 0.02 * m / (3.5 * np.sqrt(v) + 1e-3)
    atol = 1e-6 if dtype == np.float32 else 1e-14
    for actual, expected in zip(arrays, (p, g, m, v), strict=True):
        assert actual.dtype == dtype
        assert_allclose(actual, expected, rtol=0, atol=atol)


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_size_of_a_step_is_its_formula(engine, dtype):
    generator = np.random.default_rng(0)
    g, v = generator.normal(size=41), generator.uniform(0.1, 2, size=41)
    settings = {"beta_2": 0.9, "epsilon": 1.0, "scale": 1.5}
    actual = ENGINES[engine].relative_size(g.astype(dtype), v.astype(dtype), **settings)
    variance = 1.5**2 * (0.9 * v + 0.1 * g**2)
    assert (variance < 1).any()  # epsilon squared is the least
    expected = np.sqrt(np.mean(g**2 / np.maximum(variance, 1)))
    assert_allclose(actual, expected, rtol=1e-6 if dtype == np.float32 else 1e-14)


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_units", [1, 19])
def test_loops_over_steps_have_the_bits_of_the_loops_in_numpy(engine, dtype, n_units):
    packing = Packing(np.array([6, 4, 4, 1]))
    hidden = np.random.default_rng(0).normal(size=(packing.n_rows, n_units)).astype(dtype)
    hidden[7, 0] = np.nan
    hidden[9] = hidden[5]  # equal values: the first step counts
    results = []
    for loops in (ENGINES[engine].loops, NumpyLoops()):
        total, maximum = np.zeros((4, n_units), dtype), np.full((4, n_units), -np.inf, dtype)
        steps, errors = np.zeros((4, n_units), np.int32), np.ones_like(hidden)
        for start, stop in ((0, 2), (2, 6)):
            rows, window = hidden[packing.rows_of_steps(start, stop)], packing.window(start, stop)
            loops.add_to_sum(total, rows, window)
            loops.add_to_maximum(maximum, steps, rows, window, start)
        for start, stop in ((2, 6), (0, 2)):  # from the last window to the first
            of_window, window = errors[packing.rows_of_steps(start, stop)], packing.window(start, stop)
            loops.add_at_maximum(of_window, hidden[:4].copy(), steps, window, start)
        assert np.count_nonzero(errors != 1) == 4 * n_units
        results.append((total, maximum, steps, errors))
    for actual, expected in zip(*results, strict=True):
        assert_array_equal(actual, expected)


@needs_kernels
def test_loops_over_steps_refuse_arrays_that_do_not_fit_together():
    packing = Packing(np.array([3, 1]))
    total, steps, rows = np.zeros((2, 4)), np.zeros((2, 4), np.int32), np.zeros((4, 4))
    batches = (packing.batch_sizes, packing.offsets)
    for add, arguments, message in (
        (kernels.add_to_sum, (total, np.zeros((3, 4)), packing.batch_sizes), "hidden has dtype"),
        (kernels.add_to_sum, (total[:1], np.zeros((4, 4)), packing.batch_sizes), r"batch_sizes\[0\] is 2"),
        (kernels.add_to_sum, (total, np.zeros((4, 5)), packing.batch_sizes), "pooled has shape"),
        (kernels.add_to_maximum, (total, steps[:1], np.zeros((4, 4)), packing.batch_sizes, 0), "step_of_maximum has"),
        (kernels.add_at_maximum, (rows[1:], total, steps, *batches, 0), "errors has"),
        (kernels.add_at_maximum, (rows, total[:, 1:], steps, *batches, 0), "pooled has shape"),
        (kernels.add_at_maximum, (rows, total, steps[:1], *batches, 0), "step_of_maximum has"),
        (kernels.add_at_maximum, (rows, total, steps, batches[0], batches[1][1:], 0), "offsets has"),
        (kernels.add_at_maximum, (rows, total, steps, batches[0], batches[1] - 1, 0), r"offsets\[0\] is -1"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            add(*arguments)


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_outputs", [1, 2, 9, 33])
def test_the_loss_of_softmax_and_its_derivative(engine, dtype, n_outputs):
    generator = np.random.default_rng(0)
    scores = generator.normal(scale=20, size=(40, n_outputs)).astype(dtype)
    targets = np.eye(n_outputs)[generator.integers(n_outputs, size=40)].astype(dtype)
    scores[3] = 1e30  # nothing overflows
    losses, derivatives = ENGINES[engine].softmax_loss(scores, targets)
    assert losses.dtype == derivatives.dtype == dtype
    exact, tolerance = scores.astype(np.longdouble), 1e-6 if dtype == np.float32 else 1e-14
    shares = np.exp(exact - exact.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert_allclose(losses, -np.log((shares * targets).sum(axis=1)).astype(float), rtol=tolerance, atol=10 * tolerance)
    assert_allclose(derivatives, (shares - targets).astype(float), rtol=tolerance, atol=tolerance)


@each_engine
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_stay_visible_in_their_own_loss(engine, bad):
    scores, targets = np.zeros((3, 20)), np.eye(20)[:3]
    scores[1, 18] = bad
    for values in ENGINES[engine].softmax_loss(scores, targets):
        assert np.isnan(values[1]).any()
        assert np.isfinite(values[[0, 2]]).all()


@needs_kernels
@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), "targets has"),
        (np.zeros((3, 2)), np.zeros((3, 2), np.float32), "targets has"),
        (np.zeros((2, 3)).T, np.zeros((3, 2)), "scores has"),
        (np.zeros(3), np.zeros(3), "scores has shape"),
        (np.zeros((3, 0)), np.zeros((3, 0)), "n_outputs is 0"),
    ],
)
def test_the_kernel_of_the_loss_refuses_arrays_that_do_not_fit_together(scores, targets, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        kernels.softmax_loss(scores, targets)


# ---- Agreement with the kernels ----------------------------------------------------------------------


@needs_kernels
def test_the_compiled_engine_knows_all_kernels():
    from sklearn_rnn._network.kernels import _kernels

    for activation in ("identity", "logistic", "relu", "tanh"):
        assert kernels.has_cell("rnn", activation)
    assert {name for name in CELLS if kernels.has_cell(name, "tanh")} == {"rnn", "lstm", "gru"} == set(_kernels.CELLS)
    assert {name for name, pool in READOUTS.items() if pool is not None} == set(_kernels.POOLS)
    assert all(map(kernels.has_pool, _kernels.POOLS))
    for name, make in CELLS.items():
        recurrence = engines.serving.recurrence(make("tanh"))
        assert isinstance(recurrence, CompiledRecurrence)
        assert recurrence.name == name
