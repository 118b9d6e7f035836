"""Small networks and data for the tests: random asymmetric weights, ragged lengths, float64 by default."""

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._network import kernels
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.embedding import EmbeddedFeature, Embedding
from sklearn_rnn._network.engines import CompiledEngine, NumpyEngine
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._training.bptt import Backpropagation
from sklearn_rnn._training.dropout import NO_MASKS
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn.utils._sequence_checks.data import random_sequences

# The NumPy engine, and the compiled engine if kernels were compiled.
ENGINES = {"numpy": NumpyEngine()} | ({} if kernels.name == "numpy" else {"compiled": CompiledEngine()})
each_engine = pytest.mark.parametrize("engine", ENGINES)

# Not sorted; one length of 1, and two equal lengths.
RAGGED = (5, 1, 7, 3, 5)


def import_torch():
    """Return torch. If it is missing, the calling module is skipped, or fails if torch is required."""
    if os.environ.get("SKLEARN_RNN_REQUIRE_TORCH") == "1":
        import torch

        return torch
    return pytest.importorskip("torch", reason="torch is not installed")


def import_client(module):
    """Return a module of another library. If it is missing, the test is skipped, or fails if clients are required."""
    if os.environ.get("SKLEARN_RNN_REQUIRE_CLIENTS") == "1":
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module.split('.')[0]} is not installed")


def run_python(program, *arguments, kernel=None, timeout=300, exit_status=0):
    """Run a program in a new process, with ``kernel`` forced if it is given; return its standard output.

    The program can import the modules of this folder and of its subfolders.
    """
    folders = {str(file.parent) for file in Path(__file__).parent.rglob("*.py")}
    path = [*sorted(folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    forced = {} if kernel is None else {kernels.VARIABLE: kernel}
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)} | forced,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert process.returncode == exit_status, f"exit status {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process.stdout


# check_estimator does not run these checks.
MORE_CHECKS_OF_TRANSFORMERS = [
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]

# Plain networks and training, whatever the defaults are: tests of single parameters begin with these.
PLAIN = {
    "bidirectional": False,
    "readout": "last",
    "normalize_readout": False,
    "normalize_features": False,
    "patch_size": 1,
    "learning_rate": "constant",
    "learning_rate_init": 0.003,
    "clip_norm": 1.0,
    "clip_update": None,
    "beta_2": 0.999,
    "random_state": 0,
}


def plain_classifier(*sizes, **settings):
    """An RNNClassifier with the settings of ``PLAIN``, and others."""
    return RNNClassifier(*sizes, **PLAIN | settings)


def plain_regressor(*sizes, **settings):
    """An RNNRegressor with the settings of ``PLAIN``, and others."""
    return RNNRegressor(*sizes, **PLAIN | settings)


def make_sequences(lengths=RAGGED, n_features=2, *, seed=0, dtype=np.float64):
    """One standard normal array (n_steps_i, n_features) for each length."""
    return random_sequences(lengths, n_features, seed=seed, dtype=dtype)


def make_recurrence(engine, cell, activation="tanh"):
    """Return a cell, given its name, and its recurrence in an engine."""
    cell = CELLS[cell](activation)
    return cell, ENGINES[engine].recurrence(cell)


def make_network(
    cell="gru",
    activation="tanh",
    *,
    n_features=2,
    sizes=(3,),
    n_outputs=2,
    bidirectional=False,
    readout="last",
    dtype=np.float64,
    seed=1,
    engine=None,
    embedding=None,
):
    """A network with random parameters, also biases. It runs in the default engine, or in ``engine``."""
    network = RecurrentNetwork(
        n_features if embedding is None else embedding.n_inputs,
        sizes,
        n_outputs,
        cell=cell,
        activation=activation,
        bidirectional=bidirectional,
        readout=readout,
        dtype=dtype,
        random_state=np.random.RandomState(seed),
        embedding=embedding,
    )
    randomize(network.parameters.views, seed)
    if engine is not None:
        network.engine = ENGINES[engine]
    return network


def make_embedding():
    """An embedding of two features, a number and codes of 7 vectors; see :func:`with_codes`."""
    return Embedding(2, [EmbeddedFeature("kind", 1, 7, 5)])


def with_codes(dataset):
    """A Dataset of two features, with codes, 0 to 7, in the place of the second one."""
    dataset.sequences.rows[:, 1] = np.rint(2 * dataset.sequences.rows[:, 1]) % 8
    return dataset


def randomize(weights, seed=1):
    """Fill named parameters in place with normal values of standard deviation 1/2."""
    generator = np.random.default_rng(seed)
    for view in weights.values():
        view[...] = generator.normal(scale=0.5, size=view.shape)


def make_dataset(sequences, targets, weights=None, *, per_step=False):
    """A Dataset of these sequences; targets (n, n_outputs) are per sequence or, with ``per_step``, per row."""
    lengths = np.array([len(sequence) for sequence in sequences])
    rows = np.concatenate(sequences)
    weights = np.ones(len(targets)) if weights is None else weights
    return Dataset(
        Sequences(rows, lengths, "list"),
        targets.astype(rows.dtype),
        weights.astype(rows.dtype),
        per_step,
    )


def make_regression(lengths=RAGGED, *, per_step=False, n_features=2, n_outputs=2, seed=2):
    """A Dataset with random targets and weights; the second weight is zero."""
    generator = np.random.default_rng(seed)
    n = sum(lengths) if per_step else len(lengths)
    weights = generator.uniform(0.5, 2, n)
    weights[1 % n] = 0 if n > 1 else 1
    sequences = make_sequences(lengths, n_features, seed=seed + 1)
    return make_dataset(sequences, generator.normal(size=(n, n_outputs)), weights, per_step=per_step)


class Update(NamedTuple):
    """The sums over samples from which the weights are updated: loss, weight, and the gradient of ``loss``."""

    loss: float
    weight: float
    gradient: dict


def updates_of(network, loss, dataset, truncation=None, stride=None, masks=NO_MASKS, **settings):
    """The updates of one pass over the whole dataset in one batch; the weights are not changed."""
    backpropagation = Backpropagation(network, network.prepare(), loss, **settings)
    batch = dataset.pack(np.arange(len(dataset)))
    windows = truncated(batch.packing.n_steps, truncation, stride)
    return [
        Update(update.loss, update.weight, copied(update.gradient.views))
        for update in backpropagation.updates(batch, windows, masks)
    ]


def truncated(n_steps, truncation=None, stride=None):
    """The windows of a batch whose longest sequence has ``n_steps``."""
    return FixedTruncation(truncation, stride).draw(n_steps, None)


def copied(arrays):
    """A dict of copies."""
    return {name: array.copy() for name, array in arrays.items()}


def numerical_gradient(function, array, step=1e-6):
    """Central differences of ``function()``, which reads ``array``, with respect to every component of ``array``."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = function()
        array[index] = value - step
        below = function()
        array[index] = value
        gradient[index] = (above - below) / (2 * step)
    return gradient


def largest_relative_difference(actual, expected):
    """Largest difference of named arrays, each relative to the largest absolute value of the expected array."""
    assert set(actual) == set(expected)
    largest = 0.0
    for name, array in expected.items():
        scale = np.abs(array).max()
        assert scale > 0, f"{name} is all zero: comparing it proves nothing"
        largest = max(largest, float(np.abs(actual[name] - array).max() / scale))
    return largest


def assert_all_close(actual, expected, *, rtol):
    """Compare named arrays, with a tolerance relative to the largest absolute value of each."""
    assert set(actual) == set(expected)
    for name, array in expected.items():
        scale = np.abs(array).max()
        assert scale > 0, f"{name} is all zero: comparing it proves nothing"
        assert_allclose(actual[name], array, rtol=0, atol=rtol * scale, err_msg=name)
