"""The embedding: lookup, gradients and start values, in both engines; and networks that have one."""

import copy
import pickle

import numpy as np
import pytest
from helpers import (
    ENGINES,
    NO_MASKS,
    assert_all_close,
    each_engine,
    numerical_gradient,
    randomize,
    truncated,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._network import kernels
from sklearn_rnn._network.embedding import EmbeddedFeature, Embedding
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.losses import SquaredError

# A step: a number, a code of 5 vectors of size 3, a number, a code of 2 vectors of size 1.
FEATURES = [EmbeddedFeature("kind", 1, 5, 3), EmbeddedFeature("3", 3, 2, 1)]
LENGTHS = (5, 3, 3, 1)

needs_kernels = pytest.mark.skipif(kernels.name == "numpy", reason="no compiled kernels run here")


def make_rows(n_rows, n_steps=1, *, dtype=np.float64, seed=0):
    """Rows of steps with numbers and codes; some codes are 0, which means no step."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(n_rows * n_steps, 4))
    for feature in FEATURES:
        steps[:, feature.column] = generator.integers(0, feature.n_vectors + 1, len(steps))
    return steps.reshape(n_rows, -1).astype(dtype)


def make_tables(dtype=np.float64):
    generator = np.random.default_rng(1)
    return [generator.normal(size=(f.n_vectors, f.size)).astype(dtype) for f in FEATURES]


def make_embedded_network(cell="lstm", engine=None, *, n_steps=1, dtype=np.float64, **options):
    """A network over rows of :func:`make_rows`, with random parameters."""
    embedding = Embedding(4, FEATURES, n_steps)
    settings = {"bidirectional": False, "readout": "last", "activation": "tanh"} | options
    network = RecurrentNetwork(
        embedding.n_inputs,
        (4, 3),
        2,
        cell=cell,
        dtype=dtype,
        random_state=np.random.RandomState(0),
        embedding=embedding,
        **settings,
    )
    randomize(network.parameters.views)
    if engine is not None:
        network.engine = ENGINES[engine]
    return network


def expected_inputs(rows, tables):
    """The definition: numbers first, then a vector for each code, step after step."""
    inputs = []
    for row in rows:
        for step in row.reshape(-1, 4):
            inputs += [step[0], step[2]]
            for feature, table in zip(FEATURES, tables):
                code = int(step[feature.column])
                inputs += list(table[code - 1]) if code else [0] * feature.size
    return np.reshape(inputs, (len(rows), -1))


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_lookup(engine, dtype, n_steps):
    rows, tables = make_rows(20, n_steps, dtype=dtype), make_tables(dtype)
    embedding = Embedding(4, FEATURES, n_steps)
    inputs = np.full((20, embedding.n_inputs), np.nan, dtype)
    ENGINES[engine].lookup(embedding).forward(rows, tables, inputs)
    assert_array_equal(inputs, expected_inputs(rows, tables))


@each_engine
def test_lookup_of_codes_alone(engine):
    feature = EmbeddedFeature("0", 0, 3, 2)
    table, inputs = np.arange(6.0).reshape(3, 2), np.empty((4, 2))
    ENGINES[engine].lookup(Embedding(1, [feature])).forward(np.array([[1.0], [3], [0], [2]]), [table], inputs)
    assert_array_equal(inputs, [[0, 1], [4, 5], [0, 0], [2, 3]])


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_added_by_row(engine, dtype):
    rows, embedding = make_rows(30, 2, dtype=dtype), Embedding(4, FEATURES, 2)
    d_inputs = np.random.default_rng(2).normal(size=(30, embedding.n_inputs)).astype(dtype)
    d_tables = make_tables(dtype)
    expected = [table.astype(np.float64) for table in d_tables]
    for row, d_row in zip(rows, d_inputs):
        for step, d_step in zip(row.reshape(2, 4), d_row.reshape(2, -1)):
            for k, columns in enumerate((slice(2, 5), slice(5, 6))):
                code = int(step[FEATURES[k].column])
                if code:
                    expected[k][code - 1] += d_step[columns]
    ENGINES[engine].lookup(embedding).backward(rows, d_inputs, d_tables)
    for d_table, wanted in zip(d_tables, expected):
        assert_allclose(d_table, wanted, rtol=1e-5 if dtype == np.float32 else 1e-13)


@each_engine
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("rnn", {}),
        ("lstm", {"readout": "each"}),
        ("rnn", {"bidirectional": True, "readout": ("mean", "max")}),
        ("gru", {"n_steps": 2}),
    ],
    ids=str,
)
def test_gradients_against_finite_differences(engine, cell, options):
    network = make_embedded_network(cell, engine, **options)
    per_step = network.readout == "each"
    rows, generator = make_rows(sum(LENGTHS), network.embedding.n_steps), np.random.default_rng(3)
    n = sum(LENGTHS) if per_step else len(LENGTHS)
    sequences = Sequences(rows, np.array(LENGTHS), "list")
    dataset = Dataset(sequences, generator.normal(size=(n, 2)), generator.uniform(0.5, 2, n), per_step)
    batch, weights = dataset.pack(np.arange(len(dataset))), network.prepare()
    windows, backpropagation = truncated(batch.packing.n_steps), Backpropagation(network, weights, SquaredError())

    def update():
        weights.refresh()
        return next(backpropagation.updates(batch, windows, NO_MASKS))

    differences = network.parameters.like()
    differences.vector[...] = numerical_gradient(lambda: update().loss, network.parameters.vector)
    gradient = {name: view.copy() for name, view in update().gradient.views.items()}
    assert gradient["embedding.kind"].shape == (5, 3)
    assert_all_close(gradient, differences.views, rtol=1e-6)


def test_start_values():
    random_state = np.random.RandomState(0)
    embedding = Embedding(1, [EmbeddedFeature("0", 0, 2001, 8)])
    options = {"cell": "rnn", "activation": "tanh", "bidirectional": False, "readout": "last", "dtype": np.float32}
    network = RecurrentNetwork(8, (3,), 1, random_state=random_state, embedding=embedding, **options)
    table = network.parameters.views["embedding.0"]
    assert_array_equal(table[0], 0)
    assert abs(table[1:].std() - 1) < 0.02
    assert abs(table[1:].mean()) < 0.02


@each_engine
def test_copies_and_pickles_have_tables_of_their_own(engine):
    network = make_embedded_network(engine=engine)
    for twin in (network.copy(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        expected = twin.parameters.views["embedding.kind"].copy()
        network.parameters.views["embedding.kind"] += 1
        assert_array_equal(twin.parameters.views["embedding.kind"], expected)
        assert twin.lookup is not None


@needs_kernels
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, [0, 4], [1], [5], [3]), "not among the 4 columns"),
        ((4, [0], [-1], [5], [3]), "not among the 4 columns"),
        ((4, [0], [1], [5, 5], [3]), "different lengths"),
        ((4, [0], [1], [0], [3]), "no rows or no columns"),
        ((4, [0], [1], [5], [0]), "no rows or no columns"),
    ],
)
def test_kernel_refuses_wrong_layouts(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernels.embedding_kernel(*arguments)


@needs_kernels
def test_kernel_refuses_arrays_that_do_not_fit():
    kernel = kernels.embedding_kernel(4, [0, 2], [1, 3], [5, 2], [3, 1])
    rows, tables, inputs = make_rows(6), make_tables(), np.empty((6, 6))
    kernel.forward(rows, tables, inputs)
    frozen = inputs.copy()
    frozen.flags.writeable = False
    for wrong in (
        (rows, tables, inputs[:5].copy()),
        (rows, tables[:1], inputs),
        (rows, tables[::-1], inputs),
        (rows, [table.astype(np.float32) for table in tables], inputs),
        (rows.astype(np.float32), tables, inputs),
        (rows.astype(np.int64), tables, inputs),
        (rows[:, ::-1], tables, inputs),
        (rows, tables, frozen),
    ):
        with pytest.raises(ValueError, match=r"the kernel (needs|writes)|the kernels take|there are 1 tables"):
            kernel.forward(*wrong)


@needs_kernels
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 6.0, 1e300])
def test_kernel_reads_no_vector_for_values_that_are_no_code(value):
    kernel = kernels.embedding_kernel(1, [], [0], [5], [3])
    inputs, table = np.full((1, 3), 7.0), np.ones((5, 3))
    kernel.forward(np.array([[value]]), [table], inputs)
    assert_array_equal(inputs, 0)
    kernel.backward(np.array([[value]]), np.ones((1, 3)), [table])
    assert_array_equal(table, 1)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_values_of_inputs_are_summed_by_feature(n_steps):
    embedding = Embedding(4, FEATURES, n_steps)
    of_inputs = np.random.default_rng(0).normal(size=(5, n_steps, 6))  # two numbers, and vectors of 3 and 1
    expected = np.stack(
        [of_inputs[:, :, 0], of_inputs[:, :, 2:5].sum(axis=2), of_inputs[:, :, 1], of_inputs[:, :, 5]], axis=2
    )
    actual = embedding.by_feature(of_inputs.reshape(5, -1))
    assert_allclose(actual, expected.reshape(5, -1), rtol=1e-15, atol=1e-15)
