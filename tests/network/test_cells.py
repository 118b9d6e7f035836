"""Forward passes of cells and networks: equations, packing, carried states, start values."""

import numpy as np
import pytest
from helpers import each_engine, make_network, make_recurrence, make_sequences, randomize
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import cells
from sklearn_rnn._network.buffers import Buffers, NetworkBuffers
from sklearn_rnn._network.network import RecurrentNetwork

CELLS = [
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("rnn", "logistic"),
    ("rnn", "identity"),
    ("lstm", "tanh"),
    ("gru", "tanh"),
]
LENGTHS = (5, 3, 3, 1)
N_FEATURES, N_UNITS = 2, 3

each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_length = pytest.mark.parametrize("lengths", [LENGTHS, (4, 4), (1,)], ids=str)


def make_weights(cell, n_units=N_UNITS, n_features=N_FEATURES, dtype=np.float64):
    shapes = cell.parameter_shapes(n_features, n_units)
    weights = {name: np.empty(shape, dtype) for name, shape in shapes.items()}
    randomize(weights)
    return weights


def make_batch(cell, lengths=LENGTHS, n_units=N_UNITS, n_features=N_FEATURES, dtype=np.float64):
    """Rows, packing and a random initial state."""
    generator = np.random.default_rng(2)
    packing = Packing(np.array(lengths))
    rows = generator.normal(size=(packing.n_rows, n_features)).astype(dtype)
    state = generator.normal(size=(cell.n_states, len(lengths), n_units)).astype(dtype)
    return rows, packing, state


def run(recurrence, rows, packing, state, weights):
    """Hidden states of every step, and the final state."""
    prepared = recurrence.prepare(weights, for_backward=False)
    hidden, final, _ = recurrence.forward(rows, packing, state, prepared, Buffers(), keeps_tape=False)
    return hidden, final


def one_step(name, activation, x, state, weights):
    """The next state of one sequence, by the equations in the cells' files."""
    W, U, b = (weights[key] for key in ("input", "recurrent", "bias"))
    h = state[0]
    if name == "rnn":
        functions = {
            "tanh": np.tanh,
            "relu": lambda a: np.maximum(a, 0),
            "logistic": expit,
            "identity": lambda a: a,
        }
        return np.array([functions[activation](x @ W + h @ U + b)])
    if name == "lstm":
        i, f, g, o = np.split(x @ W + h @ U + b, 4)
        c = expit(f) * state[1] + expit(i) * np.tanh(g)
        return np.array([expit(o) * np.tanh(c), c])
    x_r, x_z, x_n = np.split(x @ W + b, 3)
    h_r, h_z, h_n = np.split(h @ U, 3)
    z = expit(x_z + h_z)
    n = np.tanh(x_n + expit(x_r + h_r) * (h_n + weights["recurrent_bias"]))
    return np.array([(1 - z) * n + z * h])


# ---- Forward -----------------------------------------------------------------------------------------


@each_engine
@each_cell
@each_length
def test_forward_is_the_equations_sequence_by_sequence(engine, cell, activation, lengths):
    equations, recurrence = make_recurrence(engine, cell, activation)
    weights = make_weights(equations)
    rows, packing, state = make_batch(equations, lengths)
    hidden, final = run(recurrence, rows, packing, state, weights)
    for place, n_steps in enumerate(lengths):
        own_rows = np.flatnonzero(packing.sequence_of_row == place)
        assert len(own_rows) == n_steps
        expected = state[:, place]
        for row in own_rows:
            expected = one_step(cell, activation, rows[row], expected, weights)
            assert_allclose(hidden[row], expected[0], rtol=1e-13, atol=1e-15)
        assert_allclose(final[:, place], expected, rtol=1e-13, atol=1e-15)


@each_engine
@each_cell
def test_forward_leaves_input_and_state_as_they_are(engine, cell, activation):
    equations, recurrence = make_recurrence(engine, cell, activation)
    rows, packing, state = make_batch(equations)
    weights = make_weights(equations)
    originals = [array.copy() for array in (rows, state, *weights.values())]
    run(recurrence, rows, packing, state, weights)
    for array, original in zip((rows, state, *weights.values()), originals, strict=True):
        assert_array_equal(array, original)


@each_engine
@each_cell
@each_dtype
@pytest.mark.parametrize("for_backward", [False, True])
def test_weights_that_changed_are_prepared_again_in_the_same_memory(engine, cell, activation, dtype, for_backward):
    equations, recurrence = make_recurrence(engine, cell, activation)
    weights, (rows, packing, state) = make_weights(equations, dtype=dtype), make_batch(equations, dtype=dtype)

    def results(prepared):
        buffers = Buffers()
        keeps = {"keeps_tape": for_backward}
        hidden, final, tape = recurrence.forward(rows, packing, state, prepared, buffers, **keeps)
        if not for_backward:
            return [hidden, final]
        d_weights = {name: np.zeros_like(array) for name, array in weights.items()}
        errors = (np.ones_like(hidden), np.ones_like(final))
        d_x, d_state = recurrence.backward(tape, *errors, prepared, d_weights, buffers, True)
        return [hidden, final, d_x, d_state, *d_weights.values()]

    first = recurrence.prepare(weights, for_backward)
    before = [array.copy() for array in results(first)]
    randomize(weights, seed=3)
    again = recurrence.prepare(weights, for_backward, first)
    assert again is first
    fresh = recurrence.prepare({name: array.copy() for name, array in weights.items()}, for_backward)
    for array, expected, old in zip(results(again), results(fresh), before, strict=True):
        assert_array_equal(array, expected)
        assert (array != old).any()


@each_engine
@each_cell
@each_length
@pytest.mark.parametrize("cut", [0, 1, 2, 4])
def test_two_windows_give_what_one_run_gives(engine, cell, activation, lengths, cut):
    equations, recurrence = make_recurrence(engine, cell, activation)
    weights = make_weights(equations)
    rows, packing, state = make_batch(equations, lengths)
    cut = min(cut, packing.n_steps)
    hidden, final = run(recurrence, rows, packing, state, weights)
    parts = []
    for start, stop in ((0, cut), (cut, packing.n_steps)):
        window_rows = rows[packing.rows_of_steps(start, stop)]
        window = packing.window(start, stop)
        part, state = run(recurrence, window_rows, window, state, weights)
        parts.append(part)
    assert_allclose(np.concatenate(parts), hidden, rtol=1e-14, atol=1e-15)
    assert_allclose(state, final, rtol=1e-14, atol=1e-15)


@each_engine
@each_cell
@each_dtype
def test_cells_compute_in_the_type_of_their_input(engine, cell, activation, dtype):
    equations, recurrence = make_recurrence(engine, cell, activation)
    weights = make_weights(equations, dtype=dtype)
    rows, packing, state = make_batch(equations, dtype=dtype)
    prepared, buffers = recurrence.prepare(weights, for_backward=True), Buffers()
    hidden, final, tape = recurrence.forward(rows, packing, state, prepared, buffers)
    assert hidden.dtype == final.dtype == dtype
    d_weights = {name: np.zeros_like(array) for name, array in weights.items()}
    d_x, d_state = recurrence.backward(
        tape, np.ones_like(hidden), np.ones_like(final), prepared, d_weights, buffers, True
    )
    assert d_x.dtype == d_state.dtype == dtype
    assert {array.dtype for array in d_weights.values()} == {np.dtype(dtype)}


@each_engine
@each_cell
def test_float32_is_the_rounded_result_of_float64(engine, cell, activation):
    equations, recurrence = make_recurrence(engine, cell, activation)
    single, double = (
        run(recurrence, *make_batch(equations, dtype=dtype), make_weights(equations, dtype=dtype))[0]
        for dtype in (np.float32, np.float64)
    )
    assert_allclose(single, double, rtol=0, atol=1e-6 * np.abs(double).max())


@each_engine
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_saturated_gates_stay_finite(engine, cell):
    equations, recurrence = make_recurrence(engine, cell)
    weights = {name: 1e3 * array for name, array in make_weights(equations).items()}
    rows, packing, state = make_batch(equations)
    hidden, final = run(recurrence, 1e3 * rows, packing, state, weights)
    assert np.isfinite(hidden).all()
    assert np.abs(hidden).max() > 0.5
    assert np.isfinite(final).all()


def test_buffers_give_their_memory_again_and_grow_where_they_must():
    buffers = Buffers()
    first = buffers.array("a", (4, 3), np.float64)
    assert first.shape == (4, 3)
    assert np.shares_memory(buffers.array("a", (2, 3), np.float64), first)
    assert not np.shares_memory(buffers.array("b", (2, 3), np.float64), first)
    assert not np.shares_memory(buffers.array("a", (5, 3), np.float64), first)
    assert buffers.array("a", (2, 3), np.float32).dtype == np.float32


# ---- Start values ------------------------------------------------------------------------------------


def start_values(cell, activation="tanh", n_features=4, n_units=5, seed=0):
    equations = cells.CELLS[cell](activation)
    weights = make_weights(equations, n_units, n_features)
    equations.initialize(weights, np.random.RandomState(seed))
    return weights


@pytest.mark.parametrize(("cell", "n_gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_weights_start_orthogonal_in_each_gate(cell, n_gates):
    gates = np.split(start_values(cell)["recurrent"], n_gates, axis=1)
    for gate in gates:
        assert_allclose(gate @ gate.T, np.eye(5), rtol=0, atol=1e-14)
    assert len({gate[0, 0] for gate in gates}) == n_gates  # each gate is drawn on its own


def test_recurrent_weights_of_relu_start_as_the_identity():
    assert_array_equal(start_values("rnn", "relu")["recurrent"], np.eye(5))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_input_weights_start_uniform_within_glorots_limit(cell):
    weights = start_values(cell, n_features=40, n_units=60)["input"]
    limit = np.sqrt(6 / (40 + 60))
    assert 0.99 * limit < weights.max() <= limit
    assert -limit <= weights.min() < -0.99 * limit
    assert_allclose(weights.std(), limit / np.sqrt(3), rtol=0.03, atol=0)


def test_biases_start_at_zero_but_the_forget_gates_at_one():
    assert_array_equal(start_values("rnn")["bias"], np.zeros(5))
    assert_array_equal(start_values("gru")["bias"], np.zeros(15))
    assert_array_equal(start_values("gru")["recurrent_bias"], np.zeros(5))
    assert_array_equal(start_values("lstm")["bias"], np.repeat([0.0, 1.0, 0.0, 0.0], 5))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_start_values_are_those_of_the_seed_in_both_types(cell):
    def start(dtype, seed):
        return RecurrentNetwork(
            2,
            (3, 4),
            2,
            cell=cell,
            activation="tanh",
            bidirectional=True,
            readout="last",
            dtype=dtype,
            random_state=np.random.RandomState(seed),
        ).parameters.vector

    assert_array_equal(start(np.float64, 0), start(np.float64, 0))
    assert_array_equal(start(np.float32, 0), start(np.float64, 0).astype(np.float32))
    assert (start(np.float64, 0) != start(np.float64, 1)).any()


# ---- Networks ----------------------------------------------------------------------------------------


def run_network(network, sequences):
    """Hidden states of each sequence, and the final network state, of one forward pass."""
    lengths = np.array([len(sequence) for sequence in sequences])
    packing = Packing(lengths)
    rows = np.empty((packing.n_rows, sequences[0].shape[1]))
    for i, sequence in enumerate(sequences):
        rows[packing.sequence_of_row == i] = sequence
    state = network.initial_state(len(sequences))
    hidden, state, _ = network.forward(network.prepare(), rows, packing, state, NetworkBuffers())
    return [hidden[packing.sequence_of_row == i] for i in range(len(sequences))], state


@each_engine
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_batch_equals_its_sequences_one_at_a_time(engine, cell, bidirectional):
    network = make_network(cell, sizes=(3, 2), bidirectional=bidirectional, engine=engine)
    sequences = make_sequences(LENGTHS)
    together, states = run_network(network, sequences)
    for i, sequence in enumerate(sequences):
        (alone,), state = run_network(network, [sequence])
        assert_allclose(together[i], alone, rtol=1e-13, atol=1e-15)
        for of_batch, of_one in zip(states, state, strict=True):
            assert_allclose(of_batch[:, [i]], of_one, rtol=1e-13, atol=1e-15)


@each_engine
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_bidirectional_layers_read_the_reversed_sequences_too(engine, cell):
    both = make_network(cell, sizes=(3,), bidirectional=True, engine=engine)
    forward = make_network(cell, sizes=(3,), engine=engine)
    backward = make_network(cell, sizes=(3,), engine=engine)
    for name, array in both.parameters.group("layer_0").items():
        forward.parameters.views[f"layer_0.{name}"][...] = array
    for name, array in both.parameters.group("layer_0.reverse").items():
        backward.parameters.views[f"layer_0.{name}"][...] = array
    sequences = make_sequences(LENGTHS)
    hidden, state = run_network(both, sequences)
    one_way, one_state = run_network(forward, sequences)
    other_way, other_state = run_network(backward, [sequence[::-1] for sequence in sequences])
    for h, first, second in zip(hidden, one_way, other_way, strict=True):
        assert_allclose(h, np.hstack([first, second[::-1]]), rtol=1e-13, atol=1e-15)
    expected = np.hstack([one_state[0][0], other_state[0][0]])
    assert_allclose(both.final_hidden(state), expected, rtol=1e-13, atol=1e-15)


@each_engine
@pytest.mark.parametrize("steps_at_once", [1, 2, 5])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_streaming_gives_the_hidden_states_of_one_pass(engine, steps_at_once, bidirectional, monkeypatch):
    network = make_network("lstm", sizes=(3, 2), bidirectional=bidirectional, engine=engine)
    packing = Packing(np.array(LENGTHS))
    rows = np.random.default_rng(0).normal(size=(packing.n_rows, 2))
    weights, state = network.prepare(), network.initial_state(len(LENGTHS))
    hidden, final, _ = network.forward(weights, rows, packing, state, NetworkBuffers())
    state = network.initial_state(len(LENGTHS))
    parts, firsts = [], []
    values_a_step = len(LENGTHS) * network._values_per_row(keeps_hidden=True)
    monkeypatch.setattr("sklearn_rnn._network.network.CHUNK_VALUES", steps_at_once * values_a_step)
    for first_step, chunk, part in network.forward_without_tape(weights, rows, packing, state, NetworkBuffers()):
        assert len(part) == chunk.n_rows
        parts.append(part.copy())
        firsts.append(first_step)
    assert firsts == list(range(0, 5, 5 if bidirectional else steps_at_once))
    assert_allclose(np.concatenate(parts), hidden, rtol=1e-13, atol=1e-15)
    for streamed, expected in zip(state, final, strict=True):
        assert_allclose(streamed, expected, rtol=1e-13, atol=1e-15)


@each_engine
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_streaming_without_hidden_states_ends_in_the_same_state(engine, cell, bidirectional):
    network = make_network(cell, sizes=(3, 2), bidirectional=bidirectional, engine=engine)
    packing = Packing(np.array(LENGTHS))
    rows = np.random.default_rng(0).normal(size=(packing.n_rows, 2))
    final_states = []
    for keeps_hidden in (True, False):
        state = network.initial_state(len(LENGTHS))
        for _ in network.forward_without_tape(
            network.prepare(), rows, packing, state, NetworkBuffers(), keeps_hidden=keeps_hidden
        ):
            pass
        final_states.append(state)
    for with_hidden, without in zip(*final_states, strict=True):
        assert_array_equal(without, with_hidden)
