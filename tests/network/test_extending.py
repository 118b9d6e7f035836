"""A new cell or readout needs its class and one line in the registry, for both engines."""

import pickle

import numpy as np
import pytest
from helpers import (
    ENGINES,
    assert_all_close,
    each_engine,
    make_network,
    make_regression,
    make_sequences,
    numerical_gradient,
    plain_classifier,
    plain_regressor,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from sklearn_rnn._network import engines
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.cells.cell import (
    Cell,
    Tape,
    error_of_steps,
    gates_of,
    previous_states,
    project,
    project_back,
    state_rows,
)
from sklearn_rnn._network.cells.gru import GRUCell
from sklearn_rnn._network.engines.compiled_engine import CompiledRecurrence
from sklearn_rnn._network.readouts import READOUTS, Pool
from sklearn_rnn._training.gradient_trace import trace
from sklearn_rnn._training.losses import SquaredError
from sklearn_rnn._training.memory import segments

SHARE = 0.5  # share of the candidate in h of the same step


class LeakyCell(Cell):
    """A memory m that leaks by a gate, and an output that also contains the newest candidate; gates g, n::

    g_t = sigmoid(x_t W + h_{t-1} U + b),   n_t = tanh(x_t W + h_{t-1} U + b)
    m_t = g_t m_{t-1} + (1 - g_t) n_t
    h_t = m_t + n_t / 2
    """

    state_names = ("h", "m")
    n_gates = 2
    n_taped = 4

    def forward(self, x, packing, state, weights, buffers, keeps_tape=True, keeps_hidden=True):
        n_sequences, n_units = packing.n_sequences, state.shape[2]
        gates = buffers.array("gates", (packing.n_rows, 2 * n_units), x.dtype)
        project(x, weights["input"], weights["bias"], out=gates)
        hidden, memory = (state_rows(name, initial, packing, buffers) for name, initial in zip("hm", state))
        final = state.copy()
        steps = (gates, *gates_of(gates, 2), hidden[n_sequences:], memory[n_sequences:])
        for gates_t, g, n, h, m in zip(*map(packing.steps, steps)):
            h_before, m_before = final[:, : len(h)]
            gates_t += h_before @ weights["recurrent"]
            g[...], n[...] = expit(g), np.tanh(n)
            m[...] = g * m_before + (1 - g) * n
            h[...] = m + x.dtype.type(SHARE) * n
            final[:, : len(h)] = h, m
        return hidden[n_sequences:], final, Tape(packing, x, (hidden, memory), (gates,))

    def backward(self, tape, d_hidden, d_state, weights, d_weights, buffers, needs_d_x):
        packing, (gates,) = tape.packing, tape.saved
        before = previous_states(tape.states[0], packing, buffers).copy()
        memory = previous_states(tape.states[1], packing, buffers)
        delta = buffers.array("delta", gates.shape, gates.dtype)
        steps = (delta, *gates_of(delta, 2), *gates_of(gates, 2), memory)
        backward_steps = (packing.steps(array)[::-1] for array in steps)
        for delta_t, delta_g, delta_n, g, n, m, d_hidden_t in zip(*backward_steps, error_of_steps(d_hidden, packing)):
            d_h, d_m = d_state[:, : len(g)]
            if d_hidden_t is not None:
                d_h += d_hidden_t
            d_m += d_h  # h_t = m_t + n_t / 2
            delta_n[...] = (gates.dtype.type(SHARE) * d_h + d_m * (1 - g)) * (1 - n * n)
            delta_g[...] = d_m * (m - n) * g * (1 - g)
            d_m *= g  # m_t = g_t m_{t-1} + (1 - g_t) n_t
            d_h[...] = delta_t @ weights["recurrent"].T
        d_weights["recurrent"] += before.T @ delta
        return project_back(tape, delta, weights, d_weights, needs_d_x), d_state


class SumPool(Pool):
    """The sum of h_t over each sequence's own steps."""

    def __init__(self, lengths, n_units, dtype):
        super().__init__(lengths, n_units, dtype)
        self.running["sum"] = np.zeros(self.shape, dtype)

    def add(self, hidden, packing, first_step):
        for start, stop in packing.slices:
            self.running["sum"][: stop - start] += hidden[start:stop]

    def finish(self, final_hidden):
        return self.running["sum"]

    def add_errors(self, errors, d_pooled, packing, first_step):
        errors += d_pooled[packing.sequence_of_row]


class OtherGRU(GRUCell):
    """A GRU with other equations: h_{t-1} + 1 instead of the first h_{t-1}."""

    def forward(self, x, packing, state, *arguments, **keywords):
        return super().forward(x, packing, state + 1, *arguments, **keywords)


SETTINGS = {
    "hidden_layer_sizes": (4, 3),
    "max_iter": 3,
    "n_iter_no_change": np.inf,
    "batch_size": 3,
    "random_state": 0,
}
X, Y = make_sequences((6, 4, 9, 1, 9, 7)), np.array([0, 1, 2, 0, 1, 2])
CHUNKS = np.random.default_rng(3).normal(size=(4, 12, 2))
# A new cell, a new readout, both; each with known cells or readouts.
EXTENSIONS = [
    ("leaky", "last"),
    ("leaky", "mean"),
    ("leaky", "max"),
    ("leaky", "each"),
    ("gru", "sum"),
    ("leaky", "sum"),
]

each_extension = pytest.mark.parametrize(("cell", "readout"), EXTENSIONS)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(CELLS, "leaky", LeakyCell)
    monkeypatch.setitem(READOUTS, "sum", SumPool)


@pytest.fixture(params=ENGINES)
def serving(request, monkeypatch):
    """The default engine."""
    monkeypatch.setattr(engines, "serving", ENGINES[request.param])
    return request.param


def targets_of(sequences, readout, y):
    """One target for each sequence, or for each of its steps."""
    return [np.full(len(x), target) for x, target in zip(sequences, y)] if readout == "each" else y


def fit(make_estimator, cell, readout, **settings):
    return make_estimator(cell=cell, readout=readout, **SETTINGS | settings).fit(X, targets_of(X, readout, Y))


def weights_of(estimator):
    return {name: array.copy() for name, array in estimator.weights_.items()}


def flat(values):
    return np.concatenate([np.ravel(value) for value in values])


def assert_bits(actual, expected):
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert_array_equal(actual[name], array, err_msg=name)


def test_names_that_nobody_registered_are_refused(monkeypatch):
    monkeypatch.delitem(CELLS, "leaky")
    monkeypatch.delitem(READOUTS, "sum")
    for settings in ({"cell": "leaky"}, {"readout": "sum"}):
        with pytest.raises(ValueError, match=r"must be a str among \{'\w+', '\w+', '\w+'(, 'each')?\}"):
            plain_regressor(**settings).fit(X, Y)


# ---- Gradients -----------------------------------------------------------------------------------------


@each_engine
@each_extension
def test_gradients_are_finite_differences(engine, cell, readout):
    is_bidirectional = EXTENSIONS.index((cell, readout)) % 2 == 1  # in turn: a pool reads both directions alike
    network = make_network(cell, sizes=(3, 2), readout=readout, bidirectional=is_bidirectional, engine=engine)
    dataset, loss = make_regression((5, 1, 4), per_step=readout == "each"), SquaredError()
    (update,) = updates_of(network, loss, dataset)

    def value():
        (update,) = updates_of(network, loss, dataset)
        return update.loss

    views = network.parameters.views
    expected = {name: numerical_gradient(value, view) for name, view in views.items()}
    assert_all_close(update.gradient, expected, rtol=1e-7)


@each_engine
def test_the_error_of_every_step_is_traced(engine):
    network = make_network("leaky", sizes=(3, 2), readout="sum", engine=engine)
    dataset = make_regression((5, 1, 4))
    traced, (update,) = trace(network, SquaredError(), dataset), updates_of(network, SquaredError(), dataset)
    actual = {
        f"layer_{k}.{name}": a for k, layer in enumerate(traced.layers) for name, a in layer.gradient.views.items()
    }
    assert_all_close(actual, {name: update.gradient[name] / update.weight for name in actual}, rtol=1e-12)


@each_extension
def test_a_memory_budget_changes_no_bit(serving, cell, readout, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_VALUES", 1)
    monkeypatch.setattr(segments, "SMALLEST_SEGMENT", 8)
    sequences = make_sequences((60, 33, 71))
    y = targets_of(sequences, readout, Y[:3])
    without = plain_regressor(cell=cell, readout=readout, **SETTINGS)
    estimate = without.memory_estimate(sequences)
    budget = 2 * estimate.smallest
    assert budget < estimate.full
    with_budget = plain_regressor(cell=cell, readout=readout, memory_budget=budget, **SETTINGS)
    assert with_budget.memory_estimate(sequences).n_forward_passes > 1
    assert_bits(with_budget.fit(sequences, y).weights_, without.fit(sequences, y).weights_)


# ---- Training ------------------------------------------------------------------------------------------


@each_extension
@pytest.mark.parametrize("make_estimator", [plain_classifier, plain_regressor])
def test_both_estimators_fit_predict_and_are_trained_further(serving, cell, readout, make_estimator):
    estimator = fit(make_estimator, cell, readout)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    predicted = estimator.predict(X)
    assert len(predicted) == len(X)
    if make_estimator is plain_classifier:
        assert set(flat(predicted)) <= {0, 1, 2}
    before = weights_of(estimator)
    estimator.partial_fit(X, targets_of(X, readout, Y))
    assert all((estimator.weights_[name] != array).any() for name, array in before.items())


@each_extension
@pytest.mark.parametrize("truncation", [3, "unbiased"])
def test_truncation_learns_and_cuts_the_gradient(serving, cell, readout, truncation):
    stride = {"truncation_stride": 3} if truncation == "unbiased" else {}
    truncated = fit(plain_regressor, cell, readout, truncation=truncation, **stride)
    whole = fit(plain_regressor, cell, readout)
    assert truncated.loss_curve_[-1] < truncated.loss_curve_[0]
    assert any((truncated.weights_[name] != array).any() for name, array in weights_of(whole).items())


@each_extension
def test_windows_beyond_the_end_are_none(serving, cell, readout):
    assert_bits(
        weights_of(fit(plain_regressor, cell, readout, truncation=9)), weights_of(fit(plain_regressor, cell, readout))
    )


def test_states_continue_from_chunk_to_chunk(serving):
    """With a negligible learning rate, chunks have the same hidden states as the whole sequences."""
    targets = np.cumsum(CHUNKS[..., 0], axis=1)
    settings = {"cell": "leaky", "readout": "each", "hidden_layer_sizes": (4,), "learning_rate_init": 1e-300}
    reg = plain_regressor(**settings, stateful=True, random_state=0)
    for start in range(0, 12, 4):
        reg.partial_fit(CHUNKS[:, start : start + 4], targets[:, start : start + 4])
    (state,) = reg._session.carried_state
    assert state.shape == (2, 4, 4)
    assert_allclose(state[0], reg.hidden_states(CHUNKS)[:, -1], rtol=1e-12, atol=0)
    assert (state[0] != state[1]).all()


@pytest.mark.parametrize(("cell", "readout"), [("leaky", "each"), ("leaky", "sum"), ("gru", "sum")])
def test_chunks_that_continue_are_learned(serving, cell, readout):
    reg = plain_regressor(cell=cell, readout=readout, hidden_layer_sizes=(4,), stateful=True, random_state=0)
    targets = np.cumsum(CHUNKS[..., 0], axis=1)
    for start in range(0, 12, 4):
        y = targets[:, start : start + 4]
        reg.partial_fit(CHUNKS[:, start : start + 4], y if readout == "each" else y[:, -1])
    assert len(reg._session.carried_state[0]) == reg._model.network.cell.n_states
    assert np.isfinite(flat(reg.predict(CHUNKS))).all()


# ---- Streams and pickles -------------------------------------------------------------------------------


@each_extension
def test_a_stream_step_by_step_is_predict_at_once(serving, cell, readout):
    reg = fit(plain_regressor, cell, readout)
    stream, chunks = reg.stream(4), reg.stream(4)
    by_steps = np.array([stream.step(CHUNKS[:, t]) for t in range(12)])
    for t, predicted in enumerate(by_steps):
        whole = reg.predict(CHUNKS[:, : t + 1])
        assert_allclose(predicted, whole[:, -1] if readout == "each" else whole, rtol=1e-12, atol=1e-14)
    chunks.predict(CHUNKS[:, :5])
    last = chunks.predict(CHUNKS[:, 5:])
    assert_allclose(last[:, -1] if readout == "each" else last, by_steps[-1], rtol=1e-12, atol=1e-14)


def test_a_streams_state_has_the_cells_and_the_pools_names(serving):
    stream = fit(plain_regressor, "leaky", "sum").stream(2)
    assert list(stream.state) == ["layer_0.h", "layer_0.m", "layer_1.h", "layer_1.m", "readout.sum", "n_steps"]
    stream.step(CHUNKS[:2, 0])
    state, expected = stream.state, stream.step(CHUNKS[:2, 1])
    stream.state = state
    assert_array_equal(stream.step(CHUNKS[:2, 1]), expected)
    stream.reset([0])
    state = stream.state
    assert all((array[0] == 0).all() for array in state.values())
    assert all((array[1] != 0).all() for array in state.values())


@each_extension
def test_pickles_continue(serving, cell, readout):
    reg = fit(plain_regressor, cell, readout)
    stream = reg.stream(4)
    stream.step(CHUNKS[:, 0])
    pickled, pickled_stream = pickle.dumps(reg), pickle.dumps(stream)
    assert b"CompiledEngine" not in pickled
    assert b"NumpyEngine" not in pickled
    again = pickle.loads(pickled)
    assert_array_equal(flat(again.predict(X)), flat(reg.predict(X)))
    assert_array_equal(pickle.loads(pickled_stream).step(CHUNKS[:, 1]), stream.step(CHUNKS[:, 1]))
    y = targets_of(X, readout, Y)
    assert_bits(again.partial_fit(X, y).weights_, reg.partial_fit(X, y).weights_)


# ---- Which engine runs what ----------------------------------------------------------------------------


@pytest.mark.skipif("compiled" not in ENGINES, reason="no kernels were compiled")
def test_kernels_run_all_that_they_know_and_nothing_else():
    compiled = ENGINES["compiled"]
    leaky = LeakyCell()
    assert compiled.recurrence(leaky) is leaky
    for name in ("rnn", "lstm", "gru"):
        assert isinstance(compiled.recurrence(CELLS[name]("tanh")), CompiledRecurrence)
    swish = CELLS["rnn"]("swish")
    assert compiled.recurrence(swish) is swish
    for cell, readout, is_compiled in (("gru", "max", True), ("gru", "sum", False), ("leaky", "max", False)):
        assert (fit(plain_regressor, cell, readout).stream()._stepper is not None) == is_compiled


def test_a_subclass_of_a_compiled_cell_runs_its_own_equations(serving, monkeypatch):
    monkeypatch.setitem(CELLS, "other gru", OtherGRU)
    gru, other = (make_network(cell, sizes=(3,)) for cell in ("gru", "other gru"))
    assert_array_equal(other.parameters.vector, gru.parameters.vector)
    hidden = [
        plain_regressor(cell=cell, **SETTINGS | {"max_iter": 1}).fit(X, Y).hidden_states(X)[0][0]
        for cell in ("gru", "other gru")
    ]
    assert np.abs(hidden[0] - hidden[1]).max() > 0.01
