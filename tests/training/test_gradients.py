"""Finite differences against backpropagation: every cell, loss and readout, in float64."""

import numpy as np
import pytest
from helpers import (
    NO_MASKS,
    RAGGED,
    assert_all_close,
    copied,
    each_engine,
    make_dataset,
    make_network,
    make_recurrence,
    make_regression,
    make_sequences,
    numerical_gradient,
    randomize,
    truncated,
    updates_of,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import DropoutMasks
from sklearn_rnn._training.losses import REGRESSION_LOSSES, BinaryLogLoss, MulticlassLogLoss, SquaredError
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.trainer import Trainer

CELLS = [
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("rnn", "logistic"),
    ("rnn", "identity"),
    ("lstm", "tanh"),
    ("gru", "tanh"),
]
READOUTS = ["last", "mean", "max", ("last", "max", "mean"), "each"]
LOSSES = {"multiclass": MulticlassLogLoss, "binary": BinaryLogLoss, **REGRESSION_LOSSES}
RTOL = 1e-6

each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_readout = pytest.mark.parametrize("readout", READOUTS)


def numerical_gradients(network, loss, dataset, masks=NO_MASKS):
    """Finite differences of the loss of the whole dataset with respect to every parameter, by name."""
    batch = dataset.pack(np.arange(len(dataset)))
    plan = truncated(batch.packing.n_steps)
    weights = network.prepare()
    backpropagation = Backpropagation(network, weights, loss)

    def value():
        weights.refresh()
        return next(backpropagation.updates(batch, plan, masks))[0]

    gradient = network.parameters.like()
    gradient.vector[...] = numerical_gradient(value, network.parameters.vector)
    return gradient.views


def draw_targets(kind, n, n_outputs, seed=4):
    """Valid targets of a loss, (n, n_outputs)."""
    generator = np.random.default_rng(seed)
    if kind == "multiclass":
        return np.eye(n_outputs)[generator.integers(n_outputs, size=n)]
    if kind == "binary":
        return generator.integers(2, size=(n, n_outputs)).astype(float)
    if kind == "poisson":
        return generator.poisson(1.5, size=(n, n_outputs)).astype(float)
    return generator.normal(scale=2, size=(n, n_outputs))


# ---- Cells -------------------------------------------------------------------------------------------


class CellProblem:
    """A cell on a ragged batch, and a scalar that depends on every hidden state and every final state."""

    def __init__(self, engine, cell, activation, lengths=(4, 2, 2, 1), n_features=2, n_units=3):
        generator = np.random.default_rng(0)
        equations, self.recurrence = make_recurrence(engine, cell, activation)
        self.packing = Packing(np.array(lengths))
        shapes = equations.parameter_shapes(n_features, n_units)
        self.weights = {name: np.empty(shape) for name, shape in shapes.items()}
        randomize(self.weights)
        state_shape = (equations.n_states, len(lengths), n_units)
        self.x = generator.normal(size=(self.packing.n_rows, n_features))
        self.state = generator.normal(size=state_shape)
        self.d_hidden = generator.normal(size=(self.packing.n_rows, n_units))
        self.d_final = generator.normal(size=state_shape)
        self.buffers = Buffers()

    def forward(self):
        """Run over all steps with the current weights; prepare them for backward() too."""
        self.prepared = self.recurrence.prepare(self.weights, for_backward=True)
        return self.recurrence.forward(self.x, self.packing, self.state, self.prepared, self.buffers)

    def value(self):
        hidden, final, _ = self.forward()
        along = 0.0 if self.d_hidden is None else (hidden * self.d_hidden).sum()
        return along + (final * self.d_final).sum()

    def backward(self):
        """Gradients by name: of the weights, x and the initial state."""
        _, _, tape = self.forward()
        d_weights = {name: np.zeros_like(array) for name, array in self.weights.items()}
        d_x, d_state = self.recurrence.backward(
            tape,
            self.d_hidden,
            self.d_final.copy(),
            self.prepared,
            d_weights,
            self.buffers,
            needs_d_x=True,
        )
        return d_weights | {"x": d_x, "state": d_state}

    def differences(self):
        """The same gradients, from finite differences."""
        inputs = self.weights | {"x": self.x, "state": self.state}
        return {name: numerical_gradient(self.value, array) for name, array in inputs.items()}


@each_engine
@each_cell
@pytest.mark.parametrize("lengths", [(4, 2, 2, 1), (3, 3), (1,)], ids=str)
def test_cells_return_the_gradients_of_weights_input_and_initial_state(engine, cell, activation, lengths):
    problem = CellProblem(engine, cell, activation, lengths)
    assert_all_close(problem.backward(), problem.differences(), rtol=RTOL)


@each_engine
@each_cell
def test_cells_carry_back_the_error_of_final_states_alone(engine, cell, activation):
    problem = CellProblem(engine, cell, activation)
    problem.d_hidden = None
    assert_all_close(problem.backward(), problem.differences(), rtol=RTOL)


@each_engine
@each_cell
def test_cells_of_one_unit_and_one_feature_return_their_gradients(engine, cell, activation):
    problem = CellProblem(engine, cell, activation, n_features=1, n_units=1)
    assert_all_close(problem.backward(), problem.differences(), rtol=RTOL)


@each_engine
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_sequences_that_are_over_before_a_window_pass_their_error_through(engine, cell):
    problem = CellProblem(engine, cell, "tanh", lengths=(3, 1, 0))
    gradients = problem.backward()
    assert_all_close(gradients, problem.differences(), rtol=RTOL)
    assert_array_equal(gradients["state"][:, 2], problem.d_final[:, 2])


@each_engine
@each_cell
def test_weight_gradients_are_added_to_what_is_there(engine, cell, activation):
    problem = CellProblem(engine, cell, activation)
    _, _, tape = problem.forward()
    d_weights = {name: np.full_like(array, 7) for name, array in problem.weights.items()}
    d_x, _ = problem.recurrence.backward(
        tape,
        problem.d_hidden,
        problem.d_final.copy(),
        problem.prepared,
        d_weights,
        problem.buffers,
        needs_d_x=False,
    )
    assert d_x is None
    gradients = problem.backward()
    for name, array in d_weights.items():
        assert_allclose(array - 7, gradients[name], rtol=0, atol=1e-13)


# ---- Networks ----------------------------------------------------------------------------------------


@each_cell
@each_readout
def test_gradients_of_one_layer_are_finite_differences(cell, activation, readout):
    network = make_network(cell, activation, readout=readout)
    dataset = make_regression((4, 1, 3), per_step=readout == "each")
    (update,) = updates_of(network, SquaredError(), dataset)
    expected = numerical_gradients(network, SquaredError(), dataset)
    assert_all_close(update.gradient, expected, rtol=RTOL)


@each_readout
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_of_two_layers_are_finite_differences(readout, bidirectional, dropout):
    network = make_network("rnn", sizes=(3, 2), bidirectional=bidirectional, readout=readout)
    dataset = make_regression((4, 1, 3), per_step=readout == "each")
    masks = DropoutMasks.draw(network, 3, dropout, np.random.RandomState(0))
    if dropout:
        for mask in (*masks.layers, masks.readout):
            assert set(np.unique(mask)) == {0, 1 / 0.6}
    (update,) = updates_of(network, SquaredError(), dataset, masks=masks)
    expected = numerical_gradients(network, SquaredError(), dataset, masks)
    assert_all_close(update.gradient, expected, rtol=RTOL)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_of_two_bidirectional_layers_of_gated_cells_are_finite_differences(cell):
    network = make_network(cell, sizes=(2, 1), bidirectional=True, readout="each")
    dataset = make_regression((3, 1), per_step=True)
    (update,) = updates_of(network, SquaredError(), dataset)
    expected = numerical_gradients(network, SquaredError(), dataset)
    assert_all_close(update.gradient, expected, rtol=RTOL)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("readout", ["last", "each"])
def test_gradients_of_every_loss_are_finite_differences(kind, readout):
    lengths = (4, 1, 3)
    sequences = make_sequences(lengths)
    n = sum(lengths) if readout == "each" else len(lengths)
    weights = np.random.default_rng(1).uniform(0.5, 2, n)
    dataset = make_dataset(sequences, draw_targets(kind, n, 3), weights, per_step=readout == "each")
    network = make_network("rnn", n_outputs=3, readout=readout)
    loss = LOSSES[kind]()
    (update,) = updates_of(network, loss, dataset)
    assert_all_close(update.gradient, numerical_gradients(network, loss, dataset), rtol=RTOL)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_derivatives_of_losses_are_finite_differences(kind, n_outputs):
    if kind == "multiclass" and n_outputs == 1:
        n_outputs = 2
    loss, n = LOSSES[kind](), 20
    generator = np.random.default_rng(3)
    scores = generator.normal(scale=1.5, size=(n, n_outputs))
    targets = draw_targets(kind, n, n_outputs)
    weights = generator.uniform(0.5, 2, n)
    distances = np.abs(scores - targets)
    if kind == "absolute_error":
        assert distances.min() > 1e-3  # away from the kink
    if kind == "huber":
        assert np.abs(distances - 1).min() > 1e-3  # away from the corner, on both sides of it
        assert distances.min() < 1 < distances.max()
    numerical = numerical_gradient(lambda: loss.value(scores, targets, weights), scores)
    actual = loss.value_and_gradient(scores, targets, weights)[1]
    assert_allclose(actual, numerical, rtol=0, atol=RTOL * np.abs(numerical).max())


# ---- Invariants --------------------------------------------------------------------------------------


@each_cell
@each_readout
def test_a_batch_has_the_gradient_of_its_sequences_one_at_a_time(cell, activation, readout):
    per_step = readout == "each"
    network = make_network(cell, activation, sizes=(3, 2), bidirectional=True, readout=readout)
    dataset = make_regression(RAGGED, per_step=per_step)
    (update,) = updates_of(network, SquaredError(), dataset)
    alone = [updates_of(network, SquaredError(), dataset.subset(np.array([i])))[0] for i in range(len(dataset))]
    expected = {name: sum(one.gradient[name] for one in alone) for name in update.gradient}
    assert_all_close(update.gradient, expected, rtol=1e-12)
    assert_allclose(update.loss, sum(one.loss for one in alone), rtol=1e-12, atol=0)
    assert_allclose(update.weight, sum(one.weight for one in alone), rtol=1e-12, atol=0)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("truncation", [None, 2])
def test_memory_that_batches_share_leaves_no_trace_in_gradients(cell, readout, truncation):
    network = make_network(cell, sizes=(3, 2), readout=readout)
    dataset = make_regression((5, 1, 7, 3), per_step=readout == "each")
    masks = NO_MASKS

    def gradients(backpropagation, indices):
        batch = dataset.pack(np.array(indices))
        plan = truncated(batch.packing.n_steps, truncation)
        updates = backpropagation.updates(batch, plan, masks)
        return [copied(backpropagation.gradient.views) for _ in updates]

    weights = network.prepare()
    used = Backpropagation(network, weights, SquaredError())
    for indices in ([0, 1, 2, 3], [1, 3], [2], [0, 2]):
        fresh = Backpropagation(network, weights, SquaredError())
        for again, first in zip(gradients(used, indices), gradients(fresh, indices), strict=True):
            for name in first:
                assert_array_equal(again[name], first[name])


@each_readout
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_float32_gradients_are_the_rounded_ones_of_float64(cell, readout):
    gradients = []
    for dtype in (np.float32, np.float64):
        network = make_network(cell, sizes=(3, 2), readout=readout, dtype=dtype)
        dataset = make_regression(per_step=readout == "each")
        dataset.sequences.rows = dataset.sequences.rows.astype(dtype)
        dataset.targets, dataset.weights = (
            dataset.targets.astype(dtype),
            dataset.weights.astype(dtype),
        )
        gradients.append(updates_of(network, SquaredError(), dataset)[0].gradient)
    single, double = gradients
    assert {array.dtype for array in single.values()} == {np.dtype(np.float32)}
    assert_all_close(single, double, rtol=1e-5)


@each_readout
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_loss_over_batches_and_its_gradient_are_means_over_all_samples(readout, batch_size):
    network, dataset = make_network(readout=readout), make_regression(per_step=readout == "each")
    (update,) = updates_of(network, SquaredError(), dataset)
    trainer = Trainer(network, SquaredError(), None, TrainingSettings(batch_size), None)
    loss, gradient = trainer.loss_and_gradient(dataset)
    assert_allclose(loss, update.loss / dataset.weights.sum(), rtol=1e-12, atol=0)
    actual = network.parameters.like()
    actual.vector[...] = gradient * dataset.weights.sum()
    assert_all_close(actual.views, update.gradient, rtol=1e-12)
