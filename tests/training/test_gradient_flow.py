"""Gradient traces against their definitions: perturb the input of one step, and compare the losses."""

import numpy as np
import pytest
from helpers import (
    ENGINES,
    assert_all_close,
    each_engine,
    make_dataset,
    make_network,
    make_regression,
    make_sequences,
    numerical_gradient,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._network.cells.gru import GRUCell
from sklearn_rnn._network.cells.lstm import LSTMCell
from sklearn_rnn._training import gradient_trace
from sklearn_rnn._training.gradient_trace import norm, trace
from sklearn_rnn._training.losses import SquaredError

CELLS = [("rnn", "tanh"), ("rnn", "logistic"), ("lstm", "tanh"), ("gru", "tanh")]
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
LENGTHS = (3, 1, 4)

each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_readout = pytest.mark.parametrize("readout", READOUTS)
# Without the pools that are also a part of several.
each_kind_of_readout = pytest.mark.parametrize("readout", ["last", ("last", "max", "mean"), "each"])
# Of the hidden states of one sequence; "each" has the loss of its last step.
POOLS = {
    "last": lambda h: h[-1],
    "mean": lambda h: h.mean(axis=0),
    "max": lambda h: h.max(axis=0),
    "each": lambda h: h[-1],
}


# ---- A network in which every step can be perturbed --------------------------------------------------


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def run_step(cell, x, state, weights, change_of_a=0.0):
    """One step of one sequence, by the equations in the cells' files; a state is (n_states, n_units)."""
    h = state[0]
    a = x @ weights["input"] + weights["bias"] + change_of_a
    recurrent = h @ weights["recurrent"]
    if cell == "lstm":
        i, f, g, o = np.split(a + recurrent, 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return np.array([sigmoid(o) * np.tanh(c), c])
    if cell == "gru":
        (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3), np.split(recurrent, 3)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = np.tanh(a_n + r * (u_n + weights["recurrent_bias"]))
        return np.array([(1 - z) * n + z * h])
    return np.array([{"tanh": np.tanh, "logistic": sigmoid}[cell](a + recurrent)])


class Witness:
    """The mean loss of a network in which every lag has its own weights, and its own changes of a_t and h_t.

    Attributes
    ----------
    weights : list of list of dict
        By lag and layer.
    changes_of_a, changes_of_h : list of list of ndarray of shape (n_sequences, n_units or n_gates * n_units)
    """

    def __init__(self, network, dataset):
        self.cell = {LSTMCell: "lstm", GRUCell: "gru"}.get(type(network.cell), network.cell.activation)
        self.network, self.dataset = network, dataset
        self.lengths = dataset.sequences.lengths
        n_lags, n_layers = self.lengths.max(), len(network.layers)
        groups = [network.parameters.group(f"layer_{depth}") for depth in range(n_layers)]
        self.weights = [[{k: v.copy() for k, v in group.items()} for group in groups] for _ in range(n_lags)]
        self.changes_of_a, self.changes_of_h = (
            [[np.zeros((len(self.lengths), len(group[of].T))) for group in groups] for _ in range(n_lags)]
            for of in ("bias", "recurrent")
        )
        for changes in self.changes_of_h:
            changes[:] = [change[:, : len(group["recurrent"])] for change, group in zip(changes, groups, strict=True)]
        self.states = {}  # {(layer, sequence, lag): (x, the state before)}

    def hidden(self, index, x):
        """h of the last layer after every step of a sequence."""
        network, n_steps = self.network, len(x)
        for depth, (layer,) in enumerate(network.layers):
            state, hidden = np.zeros((network.cell.n_states, layer.n_units)), []
            for step, x_t in enumerate(x):
                lag = n_steps - 1 - step
                self.states[depth, index, lag] = x_t, state
                change = self.changes_of_a[lag][depth][index]
                state = run_step(self.cell, x_t, state, self.weights[lag][depth], change)
                state[0] += self.changes_of_h[lag][depth][index]
                hidden.append(state[0])
            x = np.array(hidden)
        return x

    def loss(self):
        """The mean loss; for readout "each" of the last steps only."""
        ends = np.cumsum(self.lengths)
        chosen = ends - 1 if self.dataset.per_step else slice(None)
        readout = self.network.readout
        names = (readout,) if isinstance(readout, str) else readout
        sequences = np.split(self.dataset.sequences.rows, ends[:-1])
        hidden = [self.hidden(index, x) for index, x in enumerate(sequences)]
        pooled = np.array([np.concatenate([POOLS[name](h) for name in names]) for h in hidden])
        weights = self.dataset.weights[chosen]
        scores = self.network.prepare(for_backward=False).output(pooled)
        losses = 0.5 * np.mean((scores - self.dataset.targets[chosen]) ** 2, axis=1)
        return np.average(losses, weights=weights)

    def gradient(self, array):
        return numerical_gradient(self.loss, array, step=1e-5)


def make_problem(cell, activation, readout, sizes=(3, 2), lengths=LENGTHS):
    network = make_network(cell, activation, sizes=sizes, readout=readout)
    dataset = make_regression(lengths, per_step=readout == "each")
    if readout == "each":
        dataset.weights[...] = np.random.default_rng(0).uniform(0.5, 2, len(dataset.weights))
    return network, dataset


# ---- Norms by lag ------------------------------------------------------------------------------------


@each_kind_of_readout
@each_cell
def test_errors_are_what_a_change_of_one_step_does_to_the_loss(cell, activation, readout):
    network, dataset = make_problem(cell, activation, readout)
    witness = Witness(network, dataset)
    traced = trace(network, SquaredError(), dataset)
    assert_allclose(traced.loss, witness.loss(), rtol=1e-12, atol=0)
    assert_array_equal(traced.n_sequences, [3, 2, 2, 1])
    for depth, layer in enumerate(traced.layers):
        of_h, of_a = (
            [norm(witness.gradient(changes[depth])) for changes in all_changes]
            for all_changes in (witness.changes_of_h, witness.changes_of_a)
        )
        assert max(of_h) > 1e-3
        assert_allclose(layer.hidden_norms, of_h, rtol=1e-7, atol=1e-10)
        assert_allclose(layer.preactivation_and_dropped_norms()[0], of_a, rtol=1e-7, atol=1e-10)
    assert_allclose(
        traced.hidden_norms, np.sqrt(sum(layer.hidden_norms**2 for layer in traced.layers)), rtol=1e-12, atol=0
    )


@each_kind_of_readout
@each_cell
def test_a_steps_own_part_is_what_its_own_copy_of_the_weights_would_get(cell, activation, readout):
    network, dataset = make_problem(cell, activation, readout)
    witness = Witness(network, dataset)
    traced = trace(network, SquaredError(), dataset)
    parts = [
        [{name: witness.gradient(array) for name, array in group.items()} for group in groups]
        for groups in witness.weights
    ]
    flat = np.array([np.concatenate([a.ravel() for group in groups for a in group.values()]) for groups in parts])
    kept = np.linalg.norm(np.cumsum(flat, axis=0), axis=1)
    assert_allclose(traced.own_norms, np.linalg.norm(flat, axis=1), rtol=1e-7, atol=1e-10)
    assert_allclose(traced.kept_norms, [0, *kept], rtol=1e-7, atol=1e-10)
    for depth, layer in enumerate(traced.layers):
        recurrent = np.array([groups[depth]["recurrent"] for groups in parts])
        rest = np.cumsum(recurrent[::-1], axis=0)[::-1]
        assert_allclose(layer.own_recurrent_norms, np.linalg.norm(recurrent, axis=(1, 2)), rtol=1e-7, atol=1e-10)
        _, dropped_norms = layer.preactivation_and_dropped_norms()
        assert_allclose(dropped_norms, [*np.linalg.norm(rest, axis=(1, 2)), 0], rtol=1e-7, atol=1e-10)


@each_engine
@each_readout
@each_cell
def test_the_parts_of_all_steps_add_up_to_the_engines_gradient(cell, activation, readout, engine):
    network, dataset = make_problem(cell, activation, readout, sizes=(5, 4), lengths=(5, 1, 7, 3, 5))
    network.engine = ENGINES[engine]
    traced = trace(network, SquaredError(), dataset)
    if readout == "each":  # the loss of the last steps only
        network.readout = "last"
        last = np.cumsum(dataset.sequences.lengths) - 1
        sequences = np.split(dataset.sequences.rows, last[:-1] + 1)
        dataset = make_dataset(sequences, dataset.targets[last], dataset.weights[last])
    (update,) = updates_of(network, SquaredError(), dataset)
    assert_allclose(traced.loss, update.loss / update.weight, rtol=1e-12, atol=0)
    actual = {
        f"layer_{depth}.{name}": array
        for depth, layer in enumerate(traced.layers)
        for name, array in layer.gradient.views.items()
    }
    expected = {name: update.gradient[name] / update.weight for name in actual}
    assert_all_close(actual, expected, rtol=1e-12)
    whole = np.concatenate([array.ravel() for array in expected.values()])
    assert_allclose(traced.kept_norms[-1], np.linalg.norm(whole), rtol=1e-12, atol=0)


@each_cell
@pytest.mark.parametrize("truncation", [1, 2, 3, 5, 7])
def test_the_rest_is_what_truncation_drops(cell, activation, truncation):
    network, dataset = make_problem(cell, activation, "last", lengths=(5, 1, 7, 3, 5))
    (full,) = updates_of(network, SquaredError(), dataset)
    (truncated,) = updates_of(network, SquaredError(), dataset, truncation)
    for depth, layer in enumerate(trace(network, SquaredError(), dataset).layers):
        name = f"layer_{depth}.recurrent"
        dropped = np.linalg.norm(full.gradient[name] - truncated.gradient[name]) / full.weight
        scale = np.linalg.norm(full.gradient[name])
        _, rest = layer.preactivation_and_dropped_norms()
        assert_allclose(rest[truncation], dropped, rtol=0, atol=1e-12 * scale)


@each_readout
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("n_steps", [1, 3, 7, 100])
def test_following_the_last_steps_alone_shows_the_same_in_them(cell, readout, n_steps):
    network, dataset = make_problem(cell, "tanh", readout, lengths=(5, 1, 7, 3, 5))
    whole = trace(network, SquaredError(), dataset)
    tail = trace(network, SquaredError(), dataset, n_steps)
    n_lags = min(n_steps, 7)
    assert tail.loss == whole.loss
    assert_array_equal(tail.n_sequences, whole.n_sequences[:n_lags])
    assert_allclose(tail.hidden_norms, whole.hidden_norms[:n_lags], rtol=1e-12, atol=0)
    assert_allclose(tail.own_norms, whole.own_norms[:n_lags], rtol=1e-12, atol=0)
    assert_allclose(tail.kept_norms, whole.kept_norms[: n_lags + 1], rtol=1e-12, atol=0)


def test_a_float32_network_is_traced_in_float64():
    network, dataset = make_problem("gru", "tanh", "last")
    single = make_network("gru", sizes=(3, 2), dtype=np.float32)
    network.parameters.vector[...] = single.parameters.vector
    sequences = make_sequences(LENGTHS, dtype=np.float32)
    single_data = make_dataset(sequences, dataset.targets.astype(np.float32))
    double_data = make_dataset([s.astype(np.float64) for s in sequences], single_data.targets)
    actual, expected = trace(single, SquaredError(), single_data), trace(network, SquaredError(), double_data)
    assert actual.loss == expected.loss
    assert_array_equal(actual.kept_norms, expected.kept_norms)
    assert single.parameters.vector.dtype == np.float32


def test_errors_far_below_the_root_of_the_smallest_number_do_not_become_zero():
    network = make_network("rnn", sizes=(4,))
    network.parameters.views["layer_0.recurrent"][...] *= 1e-3
    traced = trace(network, SquaredError(), make_regression((80, 70)))
    assert 0 < traced.hidden_norms[-1] < 1e-200
    assert 0 < traced.own_norms[-1] < 1e-200


# ---- Singular values ---------------------------------------------------------------------------------


def jacobian(witness, depth, lag, index):
    """d state_t / d state_{t-1} of one sequence at one step, by differences."""
    x, state = witness.states[depth, index, lag]
    columns = []
    for place in np.ndindex(state.shape):
        change = np.zeros_like(state)
        change[place] = 1e-5
        above, below = (run_step(witness.cell, x, state + sign * change, witness.weights[0][depth]) for sign in (1, -1))
        columns.append((above - below).ravel() / 2e-5)
    return np.array(columns).T


@pytest.mark.parametrize("values_at_once", [None, 1])
@each_cell
def test_singular_values_are_those_of_the_full_jacobians(cell, activation, values_at_once, monkeypatch):
    if values_at_once is not None:
        monkeypatch.setattr(gradient_trace, "JACOBIAN_VALUES", values_at_once)
    network, dataset = make_problem(cell, activation, "last")
    witness = Witness(network, dataset)
    witness.loss()
    order = np.argsort(-dataset.sequences.lengths, kind="stable")
    for depth, layer in enumerate(trace(network, SquaredError(), dataset).layers):
        expected = [
            np.linalg.svd(jacobian(witness, depth, lag, order[place]), compute_uv=False)[0]
            for lag, (start, stop) in enumerate(layer.lags.slices)
            for place in range(stop - start)
        ]
        converged = layer.largest_singular_values(100, np.random.RandomState(0))
        assert_allclose(converged, expected, rtol=1e-6, atol=0)
        for n_iterations in (1, 2, 3):
            values = layer.largest_singular_values(n_iterations, np.random.RandomState(0))
            assert (values <= np.array(expected) * (1 + 1e-6)).all()


def test_few_iterations_come_close_to_the_largest_of_many_singular_values():
    network = make_network("rnn", "identity", sizes=(64,))
    expected = np.linalg.svd(network.parameters.views["layer_0.recurrent"], compute_uv=False)[0]
    (layer,) = trace(network, SquaredError(), make_regression((20, 20))).layers
    for n_iterations, rtol in ((10, 0.05), (20, 0.01), (40, 1e-4)):
        values = layer.largest_singular_values(n_iterations, np.random.RandomState(0))
        assert_allclose(values, np.full(40, expected), rtol=rtol, atol=0)


def test_a_jacobian_of_zeros_has_the_singular_value_zero():
    network = make_network("rnn", "relu")
    network.parameters.views["layer_0.bias"][...] = -100
    (layer,) = trace(network, SquaredError(), make_regression(LENGTHS)).layers
    assert_array_equal(layer.largest_singular_values(5, np.random.RandomState(0)), np.zeros(sum(LENGTHS)))


def test_states_of_any_size_have_their_jacobians():
    """A difference that rounding loses in a large state would have no direction."""
    network = make_network("rnn", "identity", sizes=(4,))
    network.parameters.views["layer_0.bias"][...] = 1e12
    (layer,) = trace(network, SquaredError(), make_regression(LENGTHS)).layers
    expected = np.linalg.svd(network.parameters.views["layer_0.recurrent"], compute_uv=False)[0]
    values = layer.largest_singular_values(4, np.random.RandomState(0))
    assert_allclose(values, np.full(len(values), expected), rtol=1e-5, atol=0)


def test_states_that_are_not_finite_have_no_singular_values():
    network = make_network("rnn", "identity", sizes=(4,))
    network.parameters.views["layer_0.recurrent"][...] *= 1e100
    (layer,) = trace(network, SquaredError(), make_regression((1, 5))).layers
    with np.errstate(over="ignore", invalid="ignore"):
        values = layer.largest_singular_values(4, np.random.RandomState(0))
    assert np.isfinite(values[-1])  # the first step of the long sequence
    assert np.isnan(values[0])  # the last step of the long sequence
