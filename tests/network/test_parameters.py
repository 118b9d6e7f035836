import copy
import pickle

import numpy as np
import pytest
from helpers import make_network, randomize
from numpy.testing import assert_array_equal

from sklearn_rnn._network.parameters import Parameters

SHAPES = {
    "layer_0.input": (2, 3),
    "layer_0.bias": (3,),
    "layer_0.reverse.input": (2, 3),
    "layer_0.reverse.bias": (3,),
    "layer_01.input": (1, 1),
    "readout.weight": (3, 1),
    "readout.bias": (1,),
}

COPIES = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda parameters: pickle.loads(pickle.dumps(parameters)),
    "copy.copy": copy.copy,
}


def make_parameters(dtype=np.float64):
    parameters = Parameters(SHAPES, dtype)
    randomize(parameters.views)
    return parameters


def test_views_share_the_memory_of_the_vector_without_overlap():
    parameters = make_parameters()
    for number, view in enumerate(parameters.views.values()):
        view[...] = number
    counts = np.bincount(parameters.vector.astype(int))
    assert counts.tolist() == [np.prod(shape) for shape in SHAPES.values()]
    parameters.vector[...] = 9
    for name, shape in SHAPES.items():
        assert_array_equal(parameters.views[name], np.full(shape, 9.0))


def test_views_come_in_the_order_of_the_shapes():
    assert list(make_parameters().views) == list(SHAPES)


def test_weights_come_first_in_the_vector_and_biases_last():
    parameters = make_parameters()
    for name, view in parameters.views.items():
        view[...] = name.endswith("bias")
    n_weights = 6 + 6 + 1 + 3
    assert parameters.n_weights == n_weights
    assert_array_equal(parameters.vector, np.repeat([0.0, 1.0], [n_weights, 3 + 3 + 1]))


def test_groups_hold_the_names_one_word_below_their_prefix():
    parameters = make_parameters()
    assert list(parameters.group("layer_0")) == ["input", "bias"]
    assert list(parameters.group("layer_0.reverse")) == ["input", "bias"]
    assert np.shares_memory(parameters.group("layer_0.reverse")["input"], parameters.views["layer_0.reverse.input"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_has_the_layout_and_type_of_its_parameters_and_is_zero(dtype):
    parameters = make_parameters(dtype)
    gradient = parameters.like()
    assert_array_equal(gradient.vector, np.zeros_like(parameters.vector))
    assert gradient.vector.dtype == dtype
    for name, view in gradient.views.items():
        offset = view.ctypes.data - gradient.vector.ctypes.data
        expected = parameters.views[name].ctypes.data - parameters.vector.ctypes.data
        assert (offset, view.shape) == (expected, SHAPES[name])


@pytest.mark.parametrize("duplicate", COPIES)
def test_views_of_copies_are_views_of_the_copys_own_vector(duplicate):
    parameters = make_parameters()
    duplicated = COPIES[duplicate](parameters)
    assert_array_equal(duplicated.vector, parameters.vector)
    assert list(duplicated.views) == list(parameters.views)
    for name, view in duplicated.views.items():
        assert np.shares_memory(view, duplicated.vector)
        assert_array_equal(view, parameters.views[name])
    duplicated.views["readout.bias"][...] = 42
    assert duplicated.vector[-1] == 42


@pytest.mark.parametrize("duplicate", ["copy.deepcopy", "pickle"])
def test_deep_copies_leave_the_original_alone(duplicate):
    parameters = make_parameters()
    before = parameters.vector.copy()
    COPIES[duplicate](parameters).vector[...] = 42
    assert_array_equal(parameters.vector, before)


def test_pickles_hold_the_vector_once():
    parameters = Parameters({"weight": (100, 100)}, np.float64)
    assert len(pickle.dumps(parameters)) < 1.1 * parameters.vector.nbytes


def test_an_unpickled_network_computes_with_its_own_live_parameters():
    network = make_network("gru", bidirectional=True)
    unpickled = pickle.loads(pickle.dumps(network))
    pooled = np.ones((1, network.n_hidden))
    assert_array_equal(unpickled.prepare().output(pooled), network.prepare().output(pooled))
    unpickled.parameters.vector[...] = 0
    assert_array_equal(unpickled.prepare().output(pooled), np.zeros((1, 2)))
