"""The gradient with respect to the inputs of the first layer, in both engines."""

import numpy as np
import pytest
from helpers import (
    RAGGED,
    each_engine,
    make_dataset,
    make_embedding,
    make_network,
    make_sequences,
    numerical_gradient,
    with_codes,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._network.buffers import NetworkBuffers

each_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])


def errors_back(network, rows, packing, d_hidden, d_final):
    """d_inputs, d_initial_state, and the gradient of the parameters."""
    weights, buffers, gradient = network.prepare(), NetworkBuffers(), network.parameters.like()
    state = network.initial_state(packing.n_sequences)
    _, _, tape = network.forward(weights, rows, packing, state, buffers)
    d_state = network.d_final_state(d_final)
    back = network.backward_to_inputs(weights, tape, d_hidden, d_state, gradient, NetworkBuffers())
    return *back, gradient


def make_problem(**options):
    """A network, a batch, and errors of all hidden states and of the final ones."""
    network = make_network(sizes=(4, 3), **options)
    dataset = make_dataset(make_sequences(RAGGED), np.zeros((len(RAGGED), 2)))
    batch = (with_codes(dataset) if "embedding" in options else dataset).pack(np.arange(len(dataset)))
    generator = np.random.default_rng(3)
    d_hidden = generator.normal(size=(batch.packing.n_rows, network.n_hidden))
    return network, batch.rows, batch.packing, d_hidden, generator.normal(size=(len(RAGGED), network.n_hidden))


@each_engine
@each_direction
@each_cell
def test_it_is_the_one_of_finite_differences(cell, bidirectional, engine):
    network, rows, packing, d_hidden, d_final = make_problem(cell=cell, bidirectional=bidirectional, engine=engine)

    def weighted_sum():
        state = network.initial_state(packing.n_sequences)
        hidden, final, _ = network.forward(network.prepare(), rows, packing, state, NetworkBuffers())
        return (hidden * d_hidden).sum() + (network.final_hidden(final) * d_final).sum()

    d_inputs, _, _ = errors_back(network, rows, packing, d_hidden, d_final)
    assert_allclose(d_inputs, numerical_gradient(weighted_sum, rows), rtol=0, atol=1e-7)


@each_engine
def test_the_other_gradients_are_those_of_the_backward_pass(engine):
    network, rows, packing, d_hidden, d_final = make_problem(engine=engine)
    _, d_initial, gradient = errors_back(network, rows, packing, d_hidden, d_final)
    weights, buffers, expected = network.prepare(), NetworkBuffers(), network.parameters.like()
    _, _, tape = network.forward(weights, rows, packing, network.initial_state(packing.n_sequences), buffers)
    expected_initial = network.backward(
        weights, tape, d_hidden, network.d_final_state(d_final), expected, NetworkBuffers()
    )
    assert_array_equal(gradient.vector, expected.vector)
    for actual, state in zip(d_initial, expected_initial, strict=True):
        assert_array_equal(actual, state)


@each_engine
def test_a_network_without_its_embedding_reads_the_inputs(engine):
    network, rows, packing, *_ = make_problem(embedding=make_embedding(), engine=engine)
    inputs = network.inputs(rows, NetworkBuffers())
    states = [
        net.forward(net.prepare(), x, packing, net.initial_state(packing.n_sequences), NetworkBuffers())[0]
        for net, x in ((network, rows), (network.without_embedding(), inputs))
    ]
    assert_array_equal(states[0], states[1])
    assert network.embedding is not None
    assert network.without_embedding().parameters is network.parameters
