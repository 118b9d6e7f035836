"""Recurrences for the kernels' tests. The NumPy cells solve them, and a kernel in memory that the test chooses."""

import copy
import ctypes
import mmap
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network import cells, kernels
from sklearn_rnn._network.buffers import Buffers
from sklearn_rnn._network.int8_weights import Int8Matrix, int8_weights

try:
    from sklearn_rnn._network.kernels._kernels import Int8Kernel, Kernel, OutputKernel, Stepper, is_supported
except ModuleNotFoundError:
    Int8Kernel = Kernel = OutputKernel = Stepper = None

LEVELS = [name for name in kernels.available() if name != "numpy"]
INT8_LEVELS = [*(["v4_vnni"] if LEVELS and is_supported("v4_vnni") else []), *LEVELS]
NO_LEVELS = [pytest.param("none", marks=pytest.mark.skip(reason="no kernels were compiled"))]
ACTIVATIONS = ["identity", "logistic", "relu", "tanh"]
CELLS = [*(("rnn", activation) for activation in ACTIVATIONS), ("lstm", "tanh"), ("gru", "tanh")]
DTYPES = [np.float32, np.float64]

each_level = pytest.mark.parametrize("level", LEVELS or NO_LEVELS)
each_int8_level = pytest.mark.parametrize("level", INT8_LEVELS or NO_LEVELS)
each_cell = pytest.mark.parametrize(("cell", "activation"), CELLS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


class Problem:
    """One recurrence over a packed batch: random weights, inputs and errors, of both signs.

    Parameters
    ----------
    cell, activation : str
    dtype : dtype
    lengths : sequence of int
        Steps of each sequence, in any order.
    n_features, n_units : int
    d_hidden : {"array", "columns", "none"}
        The error of every step: a separate array, some columns of a wider array whose other columns are NaN, or none.
    needs_d_x : bool
    seed : int
    """

    def __init__(
        self, cell, activation, dtype, lengths, n_features, n_units, *, d_hidden="array", needs_d_x=True, seed=0
    ):
        generator = np.random.default_rng(seed)

        def draw(*shape, scale=1.0):
            return generator.normal(scale=scale, size=shape).astype(dtype)

        self.cell, self.activation, self.dtype = cell, activation, np.dtype(dtype)
        self.n_features, self.n_units, self.needs_d_x = n_features, n_units, needs_d_x
        self.packing = Packing(-np.sort(-np.array(lengths)))
        self.numpy_cell = cells.CELLS[cell](activation)
        shapes = self.numpy_cell.parameter_shapes(n_features, n_units)
        self.weights = {name: draw(*shape, scale=0.5) for name, shape in shapes.items()}
        self.weights["input"] /= np.sqrt(n_features, dtype=dtype)
        # Limit each gate's recurrent weights: in a recurrence that amplifies, rounding differences grow with the steps.
        for gate in np.split(self.weights["recurrent"], self.numpy_cell.n_gates, axis=1):
            gate *= 0.9 / np.linalg.norm(gate, 2)
        n_rows, state_shape = self.packing.n_rows, (self.numpy_cell.n_states, len(lengths), n_units)
        self.x = draw(n_rows, n_features)
        self.state = draw(*state_shape)
        self.d_state = draw(*state_shape)
        self.d_weights = {name: draw(*shape) for name, shape in shapes.items()}  # the kernel adds to these
        self.d_hidden = None if d_hidden == "none" else draw(n_rows, n_units)
        if d_hidden == "columns":
            wider = np.full((n_rows, n_units + 5), np.nan, dtype)
            wider[:, 2:-3] = self.d_hidden
            self.d_hidden = wider[:, 2:-3]

    def batch(self, places):
        """Return the problem of the sequences at ``places``, longest first."""
        part = copy.copy(self)
        part.packing = packing = Packing(self.packing.lengths[places])
        rows = self.packing.offsets[packing.step_of_row] + places[packing.sequence_of_row]
        part.x = self.x[rows]
        part.state, part.d_state = (np.ascontiguousarray(state[:, places]) for state in (self.state, self.d_state))
        part.d_hidden = None if self.d_hidden is None else self.d_hidden[rows]
        return part

    def backwards(self):
        """Return the problem whose sequences have their steps in reverse order."""
        other = copy.copy(self)
        other.x = in_reverse(self.x, self.packing)
        other.d_hidden = None if self.d_hidden is None else in_reverse(self.d_hidden, self.packing)
        return other

    def rows_of(self, place):
        """Rows of the sequence at a place, step by step."""
        return np.flatnonzero(self.packing.sequence_of_row == place)


def in_reverse(rows, packing):
    """Return a copy of rows, with the steps of each sequence in reverse order."""
    return rows[packing.reversed_rows]


class Forward(NamedTuple):
    """The results of a forward pass, and the tape for the backward pass."""

    hidden: np.ndarray
    final_state: np.ndarray
    tape: tuple


def full_of_nan(shape, dtype, garbage=np.nan):
    """Return an array of ``garbage``, so that a read before the first write shows in the results."""
    return np.full(shape, garbage if np.dtype(dtype).kind == "f" else -1, dtype)


class KernelRun:
    """A kernel that solves a problem; ``new(shape, dtype)`` allocates all of its arrays."""

    kernel_class = Kernel
    n_threads = 1
    is_reverse = False

    def __init__(self, level, problem, new=full_of_nan):
        self.kernel = self.kernel_class(level, problem.cell, problem.activation, problem.dtype)
        self.problem, self.new = problem, new

    def put(self, array):
        """Return a copy of an array, in memory from ``new``."""
        to = self.new(array.shape, array.dtype)
        to[...] = array
        return to

    def panels(self):
        """The weights as the kernel's forward pass reads them."""
        problem = self.problem
        weights = {name: self.put(array) for name, array in problem.weights.items()}
        panels = self.new((self.kernel.forward_panels_size(problem.n_features, problem.n_units),), problem.dtype)
        biases = (weights["bias"], weights.get("recurrent_bias"))
        self.kernel.pack_forward(weights["input"], weights["recurrent"], *biases, panels)
        return panels

    def forward_arguments(self, keeps_tape=True, keeps_hidden=True):
        """All arguments of ``Kernel.forward``, by name; outputs have the content that ``new`` gave them."""
        problem, kernel = self.problem, self.kernel
        dtype, n_units, packing = problem.dtype, problem.n_units, problem.packing
        tape = self.new((packing.n_rows, kernel.tape_row_size(n_units)), dtype) if keeps_tape else None
        n_kept = packing.n_rows if keeps_hidden else packing.n_sequences
        return {
            "panels": self.panels(),
            "batch_sizes": self.put(packing.batch_sizes),
            "x": self.put(problem.x),
            "initial_state": self.put(problem.state),
            "final_state": self.new(problem.state.shape, dtype),
            "hidden": self.new((packing.n_sequences + n_kept, n_units), dtype),
            "tape": tape,
            "keeps_hidden": keeps_hidden,
            "n_threads": self.n_threads,
        }

    def forward(self, keeps_tape=True, keeps_hidden=True):
        """Run forward; the tape holds the states (initial, then those of all steps) and the kernel's tape."""
        arguments = self.forward_arguments(keeps_tape, keeps_hidden)
        self.kernel.forward(**arguments)
        states = arguments["hidden"]
        first, packing = 0 if self.is_reverse else self.problem.packing.n_sequences, self.problem.packing
        hidden = states[first : first + packing.n_rows] if keeps_hidden else None
        return Forward(hidden, arguments["final_state"], (states, arguments["tape"]))

    def backward_arguments(self, tape, n_delta_rows=None):
        """All arguments of ``Kernel.backward``, by name."""
        problem, kernel = self.problem, self.kernel
        dtype, n_units, packing = problem.dtype, problem.n_units, problem.packing
        panels = {}
        for name in ("recurrent", "input"):
            weights = self.put(problem.weights[name])
            panels[name] = self.new((kernel.transposed_panels_size(len(weights), n_units),), dtype)
            kernel.pack_transposed(weights, panels[name])
        if n_delta_rows is None:
            n_delta_rows = kernel.n_delta_rows(packing.batch_sizes, n_units)
        d_hidden = problem.d_hidden
        if d_hidden is not None and d_hidden.base is None:  # columns of a wider array are not copied
            d_hidden = self.put(d_hidden)
        return {
            "panels": panels["recurrent"],
            "input_panels": panels["input"],
            "batch_sizes": self.put(packing.batch_sizes),
            "x": self.put(problem.x),
            "hidden": tape[0],
            "tape": tape[1],
            "d_hidden": d_hidden,
            "d_state": self.put(problem.d_state),
            "d_weights": {name: self.put(array) for name, array in problem.d_weights.items()},
            "delta": self.new((n_delta_rows, kernel.delta_row_size(n_units)), dtype),
            "previous": self.new((0 if packing.is_dense else n_delta_rows, n_units), dtype),
            "d_x": self.new(problem.x.shape, dtype) if problem.needs_d_x else None,
            "n_threads": self.n_threads,
        }

    def backward(self, tape, n_delta_rows=None):
        """Run backward; return all gradients by name."""
        arguments = self.backward_arguments(tape, n_delta_rows)
        self.kernel.backward(**arguments)
        return gradients(arguments["d_weights"], arguments["d_x"], arguments["d_state"])

    def both(self, n_delta_rows=None):
        """Run forward and backward; return all results by name."""
        forward = self.forward()
        results = {"hidden": forward.hidden, "final_state": forward.final_state}
        return results | self.backward(forward.tape, n_delta_rows)


class InPlaceRun(KernelRun):
    """A kernel that writes h into columns of a wider array: the first ones, or, if ``is_reverse``, the last.

    With ``is_reverse`` it reads the steps from the last to the first. ``wider`` is that array, with ``n_beyond`` more
    rows in front and behind.
    """

    def __init__(self, level, problem, new=full_of_nan, *, is_reverse=True, n_beyond=1):
        super().__init__(level, problem, new)
        self.is_reverse, self.n_beyond = is_reverse, n_beyond

    def own(self, wider):
        """The rows and columns of ``wider`` that the kernel may touch."""
        n_units, rows = self.problem.n_units, wider[self.n_beyond : len(wider) - self.n_beyond]
        return rows[:, -n_units:] if self.is_reverse else rows[:, :n_units]

    def forward_arguments(self, keeps_tape=True, keeps_hidden=True):
        """All arguments of ``Kernel.forward``, by name."""
        arguments = super().forward_arguments(keeps_tape, keeps_hidden)
        if keeps_hidden:
            n_rows, n_units = arguments["hidden"].shape
            self.wider = self.new((n_rows + 2 * self.n_beyond, 2 * n_units + 1), self.problem.dtype)
            arguments["hidden"] = self.own(self.wider)
        return arguments | {"is_reverse": self.is_reverse}

    def backward_arguments(self, tape, n_delta_rows=None):
        """All arguments of ``Kernel.backward``, by name."""
        return super().backward_arguments(tape, n_delta_rows) | {"is_reverse": self.is_reverse}


class Int8Run(KernelRun):
    """A kernel that runs forward with weights in 8 bits, those of a first layer or of a later one."""

    kernel_class = Int8Kernel

    def __init__(self, level, problem, new=full_of_nan, *, is_first=False):
        super().__init__(level, problem, new)
        self.weights = int8_weights("layer", problem.weights, is_first)

    def pack_arguments(self):
        """All arguments of ``Int8Kernel.pack_forward``, by name."""
        weights, has_scales = self.weights, isinstance(self.weights["input"], Int8Matrix)
        n_features, n_units = self.problem.n_features, self.problem.n_units
        recurrent_bias = weights.get("recurrent_bias")
        return {
            "input_weights": self.put(weights["input"].integers if has_scales else weights["input"]),
            "recurrent": self.put(weights["recurrent"].integers),
            "bias": self.put(weights["bias"]),
            "recurrent_bias": None if recurrent_bias is None else self.put(recurrent_bias),
            "panels": self.new((self.kernel.forward_panels_size(n_features, n_units, has_scales),), np.int64),
            "input_scales": self.put(weights["input"].scales) if has_scales else None,
            "recurrent_scales": self.put(weights["recurrent"].scales),
        }

    def panels(self):
        """The weights as the kernel's forward pass reads them."""
        arguments = self.pack_arguments()
        self.kernel.pack_forward(**arguments)
        return arguments["panels"]

    def forward_arguments(self, keeps_hidden=True):
        """All arguments of ``Int8Kernel.forward``, by name."""
        problem = self.problem
        work_size = self.kernel.work_size(problem.packing.n_sequences, problem.n_features, problem.n_units)
        arguments = super().forward_arguments(keeps_tape=False, keeps_hidden=keeps_hidden)
        return arguments | {"work": self.new((work_size,), np.int64)}

    def forward(self, keeps_hidden=True):
        """Run forward; return h after every step (None without ``keeps_hidden``), and the final state."""
        arguments = self.forward_arguments(keeps_hidden)
        self.kernel.forward(**arguments)
        hidden = arguments["hidden"][self.problem.packing.n_sequences :] if keeps_hidden else None
        return hidden, arguments["final_state"]

    def expected(self):
        """The same of the NumPy cell, in the problem's type: another type may round to other integers."""
        problem = self.problem
        with np.errstate(invalid="ignore"):
            return problem.numpy_cell.forward(problem.x, problem.packing, problem.state, self.weights, Buffers())[:2]


class OutputRun:
    """An output layer with random weights, and rows of random hidden states."""

    def __init__(self, level, dtype, n_rows, n_hidden, n_outputs, new=full_of_nan):
        generator = np.random.default_rng(0)
        shapes = {"hidden": (n_rows, n_hidden), "weight": (n_hidden, n_outputs), "bias": (n_outputs,)}
        self.kernel, self.arrays = OutputKernel(level, dtype), {}
        for name, shape in shapes.items():
            self.arrays[name] = new(shape, dtype)
            self.arrays[name][...] = generator.normal(size=shape)
        self.panels = new((self.kernel.panels_size(n_hidden, n_outputs),), dtype)
        self.scores = new((n_rows, n_outputs), dtype)
        self.kernel.pack(self.arrays["weight"], self.arrays["bias"], self.panels)
        self.transposed = new((self.kernel.transposed_panels_size(n_hidden, n_outputs),), dtype)
        self.kernel.pack_transposed(self.arrays["weight"], self.transposed)
        self._new, self._generator = new, generator

    def run(self):
        """Return the scores."""
        self.kernel.run(self.panels, self.arrays["hidden"], self.scores)
        return self.scores

    def expected(self):
        """Return h V + c in float64."""
        arrays = in_float64(self.arrays)
        return arrays["hidden"] @ arrays["weight"] + arrays["bias"]

    def backward_arguments(self):
        """Return the arguments of a backward pass with random errors, which adds to random gradients."""
        arrays, arguments = self.arrays, {"panels": self.transposed, "hidden": self.arrays["hidden"]}
        for name, like in (("d_scores", self.scores), ("d_weight", arrays["weight"]), ("d_bias", arrays["bias"])):
            arguments[name] = self._new(like.shape, like.dtype)
            arguments[name][...] = self._generator.normal(size=like.shape)
        return arguments | {"d_hidden": self._new(arrays["hidden"].shape, arrays["hidden"].dtype)}

    def backward(self):
        """Return the gradients of the layer's weights, biases and inputs, and those expected, in float64."""
        arguments = self.backward_arguments()
        hidden, d_scores = arguments["hidden"], arguments["d_scores"]
        before = in_float64({name: arguments[name] for name in ("d_weight", "d_bias")})
        wide = in_float64({"hidden": hidden, "d_scores": d_scores, "weight": self.arrays["weight"]})
        expected = {
            "d_weight": before["d_weight"] + wide["hidden"].T @ wide["d_scores"],
            "d_bias": before["d_bias"] + wide["d_scores"].sum(axis=0),
            "d_hidden": wide["d_scores"] @ wide["weight"].T,
        }
        self.kernel.backward(**arguments)
        return {name: arguments[name] for name in expected}, expected


def stepper_arguments(level, cell, activation, dtype, pools, n_sequences, sizes, new=full_of_nan, n_directions=1):
    """All arguments of a random Stepper, by name; ``sizes``: the features, the units of each layer, the outputs."""
    n_inputs, *n_units, n_outputs = sizes
    panels, states, n_features = [], [], n_inputs
    for n in n_units:
        for _ in range(n_directions):
            run = KernelRun(level, Problem(cell, activation, dtype, [1] * n_sequences, n_features, n), new)
            panels.append(run.forward_arguments()["panels"])
            states.append(run.put(run.problem.state))
        n_features = n_directions * n
    output = OutputRun(level, dtype, n_sequences, n_features * max(1, len(pools)), n_outputs, new)
    pooled = {pool: new((n_sequences, n_features), dtype) for pool in pools if pool != "last"}
    for pool, array in pooled.items():
        array[...] = -np.inf if pool == "max" else 0
    n_steps = new((n_sequences,), np.int64)
    n_steps[...] = 0
    return {
        "kernel": run.kernel,
        "panels": panels,
        "states": states,
        "n_inputs": n_inputs,
        "output": output.kernel,
        "output_panels": output.panels,
        "n_outputs": n_outputs,
        "pools": pools,
        "pooled": list(pooled.values()),
        "n_steps": n_steps,
        "n_directions": n_directions,
    }


class NumpyRun:
    """The NumPy cell that solves a problem, in float64 for every type of the problem."""

    def __init__(self, problem):
        self.problem, self.cell, self.buffers = problem, problem.numpy_cell, Buffers()
        self.weights = self.cell.prepare(in_float64(problem.weights), for_backward=True)

    def forward(self):
        """Run forward."""
        x, state = in_float64([self.problem.x, self.problem.state])
        return Forward(*self.cell.forward(x, self.problem.packing, state, self.weights, self.buffers))

    def backward(self, tape):
        """Run backward; return all gradients by name."""
        problem = self.problem
        d_hidden, d_state = problem.d_hidden, problem.d_state.astype(np.float64)
        d_hidden = None if d_hidden is None else d_hidden.astype(np.float64)
        d_weights = in_float64(problem.d_weights)
        arguments = (d_hidden, d_state, self.weights, d_weights, self.buffers, problem.needs_d_x)
        return gradients(d_weights, *self.cell.backward(tape, *arguments))


def in_float64(arrays):
    """Copies of arrays, in a list or by name."""
    if isinstance(arrays, dict):
        return {name: array.astype(np.float64) for name, array in arrays.items()}
    return [array.astype(np.float64) for array in arrays]


def gradients(d_weights, d_x, d_state):
    """All gradients by name."""
    d_inputs = {} if d_x is None else {"d_x": d_x}
    return d_inputs | {"d_initial_state": d_state} | {f"d_{name}": array for name, array in d_weights.items()}


def numpy_results(problem, states=None):
    """All results of the NumPy cell by name.

    The simple cell's backward pass uses ``states``, a kernel's states of all steps, if they are given: relu's
    derivative jumps at 0, and rounding may put a sum near 0 on either side.
    """
    run = NumpyRun(problem)
    hidden, final_state, tape = run.forward()
    hidden = hidden.copy()
    if states is not None and problem.cell == "rnn":
        tape = tape._replace(states=(states.astype(np.float64),))
    return {"hidden": hidden, "final_state": final_state} | run.backward(tape)


def assert_near(actual, expected, *, rtol, message=""):
    """Compare named arrays, with a tolerance relative to the largest absolute value of each expected one.

    If that value is less than 1, the tolerance is relative to 1, the magnitude of the inputs: their rounding limits the
    precision of values that vanish or cancel.
    """
    assert set(actual) == set(expected)
    for name, array in expected.items():
        atol = rtol * np.abs(array).max(initial=1)
        assert_allclose(actual[name], array, rtol=0, atol=atol, err_msg=f"{name} {message}")


# ---- Memory with guards --------------------------------------------------------------------------------------------

# Sizes of 1, sizes that are no multiple of a vector, every length once, and more than one tile and panel.
GUARDED_SIZES = [
    {"lengths": [1], "n_features": 1, "n_units": 1},
    {"lengths": [5, 3, 1], "n_features": 3, "n_units": 17},
    {"lengths": range(1, 30), "n_features": 3, "n_units": 5},
    {"lengths": [4] * 7, "n_features": 9, "n_units": 67},
    {"lengths": [3] * 17 + [1] * 4, "n_features": 2, "n_units": 10},
    {"lengths": [2, 1, 0], "n_features": 2, "n_units": 33},
]
# Sequences of equal lengths for both directions.
IN_PLACE_SIZES = [
    {"lengths": [1], "n_features": 1, "n_units": 1},
    {"lengths": [3] * 17, "n_features": 2, "n_units": 10},
    {"lengths": [4] * 7, "n_features": 9, "n_units": 67},
    {"lengths": [40], "n_features": 1, "n_units": 33},
]
# Enough work for several threads.
SHARED_SIZES = {"lengths": range(40), "n_features": 3, "n_units": 67}
# Pools of a stepper: the output layer reads them side by side.
POOLS = [(), ("last",), ("mean",), ("max",), ("max", "last", "mean")]
# Numbers of a row; rows and columns of a table.
EMBEDDING_SIZES = [(0, 1, 1), (1, 5, 3), (3, 2, 17), (0, 9, 64)]
# Rows, units and outputs.
OUTPUT_SIZES = [(1, 1, 1), (3, 5, 2), (7, 64, 17), (1, 3, 33), (29, 9, 67), (13, 2, 130), (0, 4, 3)]


class GuardedMemory:
    """Allocates arrays directly behind, or directly in front of, a page that the process must not access."""

    def __init__(self, side):
        self.side = side
        self.protect = ctypes.CDLL(None, use_errno=True).mprotect
        self.protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def __call__(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        n_pages = -(-size // mmap.PAGESIZE) + 1
        memory = mmap.mmap(-1, n_pages * mmap.PAGESIZE)
        guard, start = {
            "front": (0, mmap.PAGESIZE),
            "end": (n_pages - 1, (n_pages - 1) * mmap.PAGESIZE - size),
        }[self.side]
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + guard * mmap.PAGESIZE
        no_access = 0  # PROT_NONE
        if self.protect(address, mmap.PAGESIZE, no_access):
            raise OSError(ctypes.get_errno(), "mprotect")
        array = np.ndarray(shape, dtype, memory, start)
        array[...] = full_of_nan(shape, dtype)
        return array


def run_between_guards(level):
    """Solve problems in guarded memory; print each one first, because a fault ends the process."""
    for side in ("front", "end"):
        new = GuardedMemory(side)
        for cell, activation in CELLS:
            for dtype in DTYPES:
                for sizes in GUARDED_SIZES:
                    for d_hidden in ("array", "none"):
                        print(side, cell, activation, dtype.__name__, sizes, d_hidden, flush=True)
                        problem = Problem(cell, activation, dtype, **sizes, d_hidden=d_hidden)
                        run = KernelRun(level, problem, new)
                        results = run.both(n_delta_rows=max(problem.packing.batch_sizes))
                        for keeps_hidden in (True, False):
                            final_state = run.forward(keeps_tape=False, keeps_hidden=keeps_hidden).final_state
                            np.testing.assert_array_equal(final_state, results["final_state"])
                        assert all(np.isfinite(array).all() for array in results.values())
                print(side, cell, activation, dtype.__name__, "shared", flush=True)
                run = KernelRun(level, Problem(cell, activation, dtype, **SHARED_SIZES), new)
                run.n_threads = 3
                assert all(np.isfinite(array).all() for array in run.both().values())


def run_in_place_between_guards(level):
    """Run both directions in place in guarded memory; print each problem first."""
    for side in ("front", "end"):
        new = GuardedMemory(side)
        for cell, activation in CELLS:
            for dtype in DTYPES:
                for sizes in IN_PLACE_SIZES:
                    for is_reverse in (False, True):
                        print(side, cell, activation, dtype.__name__, sizes, is_reverse, flush=True)
                        problem = Problem(cell, activation, dtype, **sizes)
                        run = InPlaceRun(level, problem, new, is_reverse=is_reverse, n_beyond=0)
                        results = run.both(n_delta_rows=max(problem.packing.batch_sizes))
                        final_state = run.forward(keeps_tape=False, keeps_hidden=False).final_state
                        np.testing.assert_array_equal(final_state, results["final_state"])
                        assert all(np.isfinite(array).all() for array in results.values())


def run_int8_between_guards(level):
    """Run forward with weights in 8 bits, in guarded memory; print each problem first."""
    for name in ["v4", "v4_vnni"] if level == "v4" and "v4_vnni" in INT8_LEVELS else [level]:
        for side in ("front", "end"):
            new = GuardedMemory(side)
            for cell, activation in CELLS:
                for dtype in DTYPES:
                    for sizes in GUARDED_SIZES:
                        for is_first in (True, False):
                            print(name, side, cell, activation, dtype.__name__, sizes, is_first, flush=True)
                            problem = Problem(cell, activation, dtype, **sizes)
                            run = Int8Run(name, problem, new, is_first=is_first)
                            hidden, final_state = run.forward()
                            assert np.isfinite(hidden).all()
                            np.testing.assert_array_equal(run.forward(keeps_hidden=False)[1], final_state)


def run_outputs_and_steps_between_guards(level):
    """Run output layers and steppers in guarded memory; print each one first."""
    for side in ("front", "end"):
        new = GuardedMemory(side)
        for dtype in DTYPES:
            for sizes in OUTPUT_SIZES:
                print(side, dtype.__name__, sizes, flush=True)
                run = OutputRun(level, dtype, *sizes, new)
                assert np.isfinite(run.run()).all()
                assert all(np.isfinite(gradient).all() for gradient in run.backward()[0].values())
            for cell, activation in CELLS:
                for pools in POOLS:
                    print(side, dtype.__name__, cell, pools, flush=True)
                    problem = (level, cell, activation, dtype, pools, 3, (2, 17, 5, 3))
                    arguments = stepper_arguments(*problem, new)
                    x = new((3, 2), dtype)
                    x[...] = 0.5
                    stepper, several = Stepper(**arguments), new((6, 2), dtype)
                    several[...] = 0.5
                    assert np.isfinite(stepper.step(x)).all()
                    assert np.isfinite(stepper.run_steps(several, 2, not pools)).all()
                    whole = Stepper(**stepper_arguments(*problem, new, n_directions=2))
                    assert np.isfinite(whole.run_steps(several, 2, not pools)).all()


def run_embeddings_between_guards(level):
    """Look up vectors and add gradients in guarded memory; print each problem first. The codes are 0 to the largest."""
    from sklearn_rnn._network.kernels._kernels import EmbeddingKernel, relative_size

    for side in ("front", "end"):
        new = GuardedMemory(side)
        for dtype in DTYPES:
            for sizes in EMBEDDING_SIZES:
                print(side, dtype.__name__, sizes, flush=True)
                n_numbers, *table = sizes
                kernel = EmbeddingKernel(
                    level, n_numbers + 1, list(range(n_numbers)), [n_numbers], *np.reshape(table, (2, 1))
                )
                rows, vectors = new((table[0] + 1, n_numbers + 1), dtype), new(table, dtype)
                inputs = new((len(rows), n_numbers + table[1]), dtype)
                rows[...], vectors[...] = np.arange(table[0] + 1)[:, None], 1
                kernel.forward(rows, [vectors], inputs)
                kernel.backward(rows, inputs, [vectors])
                assert (vectors == 2).all()
                assert relative_size(level, inputs, inputs, beta_2=0.5, epsilon=1.0, scale=1.0) >= 0


def run_losses_and_pools_between_guards(level):
    """Compute losses of classes, and pools and the errors of their maxima, in guarded memory; print each one first."""
    from sklearn_rnn._network.kernels import _kernels

    for side in ("front", "end"):
        new = GuardedMemory(side)

        def filled(values, dtype, new=new):
            array = new(np.shape(values), dtype)
            array[...] = values
            return array

        for dtype in DTYPES:
            for n_rows, n_units, n_outputs in OUTPUT_SIZES:
                print(side, dtype.__name__, n_rows, n_units, n_outputs, flush=True)
                scores, targets = (filled(np.full((n_rows, n_outputs), value), dtype) for value in (3, 1 / n_outputs))
                losses, derivatives = _kernels.softmax_loss(level, scores, targets)
                np.testing.assert_allclose(losses, np.log(n_outputs), rtol=1e-6, atol=1e-6)
                np.testing.assert_allclose(derivatives, 0, rtol=0, atol=1e-6)
                # Steps of all sequences, then one of the first alone.
                sizes = filled([n_rows, n_rows, min(1, n_rows)], np.int64)
                offsets = filled(np.concatenate([[0], np.cumsum(sizes)]), np.int64)
                hidden = filled(np.ones((offsets[-1], n_units)), dtype)
                total, maximum = (filled(np.zeros((n_rows, n_units)), dtype) for _ in range(2))
                steps = filled(np.zeros((n_rows, n_units)), np.int32)
                _kernels.add_steps_to_sum(level, total, hidden, sizes)
                _kernels.add_steps_to_maximum(level, maximum, steps, hidden, sizes, 0)
                _kernels.add_errors_at_maximum(level, hidden, maximum, steps, sizes, offsets, 0)
                assert total.sum() == n_units * offsets[-1]
                assert (hidden[:n_rows] == 2).all()
                assert (hidden[n_rows:] == 1).all()
