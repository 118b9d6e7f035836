"""The compiled kernels: comparison with the NumPy cells, bits, memory, arguments, and the choice of the build."""

import itertools
import json
import os
import pickle
import platform
import signal
import sys
from functools import cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from helpers import make_sequences, run_python
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_problems import (
    ACTIVATIONS,
    CELLS,
    EMBEDDING_SIZES,
    GUARDED_SIZES,
    IN_PLACE_SIZES,
    INT8_LEVELS,
    LEVELS,
    OUTPUT_SIZES,
    POOLS,
    Kernel,
    KernelRun,
    OutputKernel,
    OutputRun,
    Problem,
    Stepper,
    assert_near,
    each_cell,
    each_dtype,
    each_level,
    full_of_nan,
    numpy_results,
    stepper_arguments,
)
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import cells as numpy_cells
from sklearn_rnn._network import engines, kernels
from sklearn_rnn._network.scaling_of_steps import StepScaling

RTOL = {np.float32: 1e-5, np.float64: 1e-12}
RAGGED = (6, 4, 4, 3, 1, 0)

needs_levels = pytest.mark.skipif(not LEVELS, reason="no kernels were compiled")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="mprotect is called as Linux has it")


def test_the_kernels_are_there():
    assert kernels.name != "numpy" or os.environ.get(kernels.VARIABLE) == "numpy", (
        "The compiled kernels are missing, so the tests have only seen the NumPy cells. Build them with a C++17 "
        'compiler: pip install -e ".[tests]", or python setup.py build_ext --inplace. To test without them, set '
        f"{kernels.VARIABLE}=numpy."
    )


# ---- The NumPy cells are right ---------------------------------------------------------------------------------------


def draw_lengths(kind, n_sequences, n_steps, seed):
    """Lengths, the first of them ``n_steps``: all equal, all at least 1, or some of them 0."""
    shortest = {"equal": n_steps, "ragged": 1, "some are over": 0}[kind]
    others = np.random.default_rng(seed).integers(shortest, n_steps, size=n_sequences - 1, endpoint=True)
    return [n_steps, *others]


all_problems = given(
    lengths=st.builds(
        draw_lengths,
        st.sampled_from(["equal", "ragged", "some are over"]),
        st.integers(1, 40),
        st.integers(1, 29),
        st.integers(0, 2**32),
    ),
    n_features=st.integers(1, 9),
    n_units=st.integers(1, 70),
    d_hidden=st.sampled_from(["array", "columns", "none"]),
    needs_d_x=st.booleans(),
    n_delta_rows=st.sampled_from(["default", "one step's"]),
    seed=st.integers(0, 2**32),
)
each_example = settings(max_examples=60, deadline=None, derandomize=True, database=None)
smallest = example([1], 1, 1, "array", True, "default", 0)
largest = example([29] * 40, 9, 70, "columns", True, "default", 0)


@needs_levels
@each_dtype
@each_cell
@all_problems
@smallest
@largest
@each_example
def test_every_kernel_gives_what_the_numpy_cell_gives(
    cell, activation, dtype, lengths, n_features, n_units, d_hidden, needs_d_x, n_delta_rows, seed
):
    sizes = (lengths, n_features, n_units)
    problem = Problem(cell, activation, dtype, *sizes, d_hidden=d_hidden, needs_d_x=needs_d_x, seed=seed)
    n_delta_rows = None if n_delta_rows == "default" else max(problem.packing.batch_sizes)
    expected = None
    for level in LEVELS:
        run = KernelRun(level, problem)
        hidden, final_state, tape = run.forward()
        results = {"hidden": hidden, "final_state": final_state} | run.backward(tape, n_delta_rows)
        if expected is None or activation == "relu":
            expected = numpy_results(problem, states=tape[0])
        assert_near(results, expected, rtol=RTOL[dtype], message=level)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("d_hidden", ["array", "none"])
def test_sequences_that_are_all_over_pass_state_and_error_through(level, cell, activation, dtype, d_hidden):
    problem = Problem(cell, activation, dtype, [0, 0], 3, 5, d_hidden=d_hidden)
    results = KernelRun(level, problem).both()
    expected = {"final_state": problem.state, "d_initial_state": problem.d_state}
    expected |= {f"d_{name}": array for name, array in problem.d_weights.items()}
    for name, array in expected.items():
        assert_array_equal(results[name], array, err_msg=name)
    assert len(results["hidden"]) == len(results["d_x"]) == 0


# ---- Bits ------------------------------------------------------------------------------------------------------------


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_units", [1, 6, 17, 33, 70])
def test_passes_give_the_same_bits_whatever_they_keep(level, cell, activation, dtype, n_units):
    run = KernelRun(level, Problem(cell, activation, dtype, RAGGED, 3, n_units))
    with_tape, without_tape = run.forward(), run.forward(keeps_tape=False)
    assert_array_equal(without_tape.hidden, with_tape.hidden)
    assert_array_equal(without_tape.final_state, with_tape.final_state)
    state_alone = run.forward(keeps_tape=False, keeps_hidden=False)
    assert_array_equal(state_alone.final_state, with_tape.final_state)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_units", [1, 10, 21, 50])
def test_a_sequence_has_the_same_bits_alone_and_in_any_batch(level, cell, activation, dtype, n_units):
    generator = np.random.default_rng(0)
    problem = Problem(cell, activation, dtype, generator.integers(0, 9, size=26), 3, n_units)
    n_sequences = problem.packing.n_sequences

    def run(places):
        batch = problem.batch(places)
        hidden, final_state, _ = KernelRun(level, batch).forward()
        return [(hidden[batch.rows_of(i)], final_state[:, i]) for i in range(len(places))]

    alone = [run(np.array([place]))[0] for place in range(n_sequences)]
    for size in [*range(1, 14), n_sequences]:
        places = np.sort(generator.choice(n_sequences, size, replace=False))
        for place, (hidden, final_state) in zip(places, run(places), strict=True):
            assert len(hidden) == problem.packing.lengths[place]
            assert_array_equal(hidden, alone[place][0])
            assert_array_equal(final_state, alone[place][1])


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_units", [10, 21, 50])
def test_the_error_of_a_sequence_has_the_same_bits_alone_and_in_a_batch(level, cell, activation, dtype, n_units):
    lengths = np.random.default_rng(0).integers(0, 7, size=23)
    problem = Problem(cell, activation, dtype, lengths, 3, n_units)
    together = KernelRun(level, problem).both()
    for place in range(0, len(lengths), 3):
        alone = KernelRun(level, problem.batch(np.array([place]))).both()
        assert_array_equal(alone["d_x"], together["d_x"][problem.rows_of(place)])
        assert_array_equal(alone["d_initial_state"][:, 0], together["d_initial_state"][:, place])


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("lengths", [RAGGED, (5, 5, 5, 5)], ids=str)
def test_what_memory_held_before_leaves_no_trace(level, cell, activation, dtype, lengths):
    problem = Problem(cell, activation, dtype, lengths, 3, 21)
    after_nan = KernelRun(level, problem).both()
    for garbage in (0, -1e30):
        run = KernelRun(level, problem, new=partial(full_of_nan, garbage=garbage))
        for name, array in run.both().items():
            assert_array_equal(array, after_nan[name], err_msg=name)


# ---- NaN and infinity ------------------------------------------------------------------------------------------------

# The third step of the sequence at place 1, in a batch of 6, 4, 4, 3, 1 and 0 steps.
PLACE, STEP = 1, 2


def poisoned(problem, **entries):
    """Return the problem with a value at an index of each named array; the original arrays do not change."""
    copied = problem.batch(np.arange(problem.packing.n_sequences))
    for name, (index, value) in entries.items():
        array = getattr(problem, name).copy()
        array[index] = value
        setattr(copied, name, array)
    return copied


def assert_others_have_the_same_bits(actual, expected, problem):
    """Compare rows, or states if they have three axes, of all sequences but the poisoned one."""
    if actual.ndim == 3:
        assert_array_equal(np.delete(actual, PLACE, axis=1), np.delete(expected, PLACE, axis=1))
    else:
        others = problem.packing.sequence_of_row != PLACE
        assert others.sum() == len(actual) - 4
        assert_array_equal(actual[others], expected[others])


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_units", [5, 21])
def test_nan_in_x_comes_through_all_later_steps_of_its_own_sequence(level, cell, activation, dtype, n_units):
    problem = Problem(cell, activation, dtype, RAGGED, 3, n_units)
    rows = problem.rows_of(PLACE)
    clean = KernelRun(level, problem).forward()
    dirty = KernelRun(level, poisoned(problem, x=((rows[STEP], 0), np.nan))).forward()
    assert_array_equal(dirty.hidden[rows[:STEP]], clean.hidden[rows[:STEP]])
    assert np.isnan(dirty.hidden[rows[STEP:]]).all()
    assert np.isnan(dirty.final_state[:, PLACE]).all()
    assert_others_have_the_same_bits(dirty.hidden, clean.hidden, problem)
    assert_others_have_the_same_bits(dirty.final_state, clean.final_state, problem)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("where", ["x", "state"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_do_in_kernels_what_they_do_in_numpy(level, cell, activation, dtype, where, value):
    problem = Problem(cell, activation, dtype, RAGGED, 3, 21)
    # In a state: one unit of its last array, which is c in LSTM.
    index = (problem.rows_of(PLACE)[STEP], 0) if where == "x" else (-1, PLACE, 4)
    dirty = poisoned(problem, **{where: (index, value)})
    clean, (hidden, final_state, _) = KernelRun(level, problem).forward(), KernelRun(level, dirty).forward()
    with np.errstate(invalid="ignore"):
        expected = numpy_results(dirty)
    for actual, name in ((hidden, "hidden"), (final_state, "final_state")):
        finite = np.isfinite(expected[name])
        assert_array_equal(np.isfinite(actual), finite)
        assert_array_equal(actual[~finite], expected[name][~finite])  # the same infinities, and NaN
        atol = RTOL[dtype] * np.abs(expected[name][finite]).max()
        assert_allclose(actual[finite], expected[name][finite], rtol=0, atol=atol)
    assert_others_have_the_same_bits(hidden, clean.hidden, problem)
    assert_others_have_the_same_bits(final_state, clean.final_state, problem)


@each_level
@each_cell
@each_dtype
def test_nan_in_the_error_comes_back_to_the_start_of_its_own_sequence(level, cell, activation, dtype):
    problem = Problem(cell, activation, dtype, RAGGED, 3, 21)
    rows = problem.rows_of(PLACE)
    clean = KernelRun(level, problem).both()
    dirty = KernelRun(level, poisoned(problem, d_hidden=(rows[STEP], np.nan))).both()
    assert_array_equal(dirty["d_x"][rows[STEP + 1 :]], clean["d_x"][rows[STEP + 1 :]])
    assert np.isnan(dirty["d_x"][rows[: STEP + 1]]).all()
    assert np.isnan(dirty["d_initial_state"][:, PLACE]).all()
    assert_others_have_the_same_bits(dirty["d_x"], clean["d_x"], problem)
    assert_others_have_the_same_bits(dirty["d_initial_state"], clean["d_initial_state"], problem)


# ---- Activations -----------------------------------------------------------------------------------------------------


def activate(level, activation, values):
    """Return the activation of an array, as the kernel of a level computes it."""
    values = values.copy()
    Kernel(level, "rnn", activation, values.dtype).activate(values)
    return values


def floats_of_every_exponent(n_mantissas):
    """Finite float32 numbers of both signs: ``n_mantissas`` for each exponent, subnormal numbers included."""
    mantissas = np.linspace(0, 2**23 - 1, n_mantissas).astype(np.uint32)
    exponents = np.arange(255, dtype=np.uint32)
    magnitudes = (exponents[:, None] << 23 | mantissas).ravel().view(np.float32)
    return np.concatenate([magnitudes, -magnitudes])


@cache
def swept(activation, dtype):
    """Arguments, and the activation's values there in higher precision."""
    if dtype == np.float32:
        x = floats_of_every_exponent(4096)
        exact = x.astype(np.float64)
    else:
        if np.finfo(np.longdouble).eps > 1e-3 * np.finfo(np.float64).eps:
            pytest.skip("np.longdouble is no more precise than float64 here")
        powers = 2.0 ** np.linspace(-1074, 9, 2**16)
        x = np.concatenate([np.linspace(-760, 760, 2**20), powers, -powers])
        exact = x.astype(np.longdouble)
    if activation == "tanh":
        return x, np.tanh(exact)
    e = np.exp(-np.abs(exact))
    return x, np.where(exact < 0, e, 1) / (1 + e)


@each_level
@each_dtype
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_tanh_and_the_logistic_function_are_right_to_four_units_in_the_last_place(level, activation, dtype):
    x, exact = swept(activation, dtype)
    actual = activate(level, activation, x)
    assert actual.dtype == dtype
    errors = np.abs(actual - exact) / np.spacing(np.abs(exact).astype(dtype))
    worst = errors.argmax()
    assert errors[worst] <= 4, f"{activation}({x[worst]!r}) = {actual[worst]!r}, but should be {exact[worst]!r}"


@each_level
@each_dtype
@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [("tanh", -1, 1), ("logistic", 0, 1), ("relu", 0, np.inf), ("identity", -np.inf, np.inf)],
)
def test_activations_have_their_limits_at_infinity(level, activation, low, high, dtype):
    limits = activate(level, activation, np.array([-np.inf, np.inf], dtype))
    assert_array_equal(limits, [low, high])


@each_level
@each_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_nan_are_nan(level, activation, dtype):
    bits = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    infinity = np.array(np.inf, dtype).view(bits)
    n_mantissa_bits = np.finfo(dtype).nmant
    payloads = infinity | np.array([1, 2, 12345, 2 ** (n_mantissa_bits - 1), 2**n_mantissa_bits - 1], bits)
    nans = payloads.view(dtype)
    values = np.concatenate([nans, -nans, np.ones(3, dtype)])
    assert np.isnan(values).sum() == 10
    assert_array_equal(np.isnan(activate(level, activation, values)), np.isnan(values))


@each_level
@each_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_reach_every_element_of_arrays_that_no_vector_divides(level, activation, dtype):
    for size in range(40):
        x = np.random.default_rng(size).normal(size=size).astype(dtype)
        one_by_one = [activate(level, activation, x[[i]])[0] for i in range(size)]
        assert_array_equal(activate(level, activation, x), np.array(one_by_one, dtype))


# ---- Adam ------------------------------------------------------------------------------------------------------------


@each_level
@each_dtype
@pytest.mark.parametrize("n", [0, 1, 3, 70])
def test_a_step_of_adam_is_its_formula(level, dtype, n):
    from sklearn_rnn._network.kernels._kernels import adam

    generator = np.random.default_rng(0)
    parameters, gradient, mean = generator.normal(size=(3, n)).astype(dtype)
    variance = generator.uniform(0.1, 2, size=n).astype(dtype)
    settings = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-3, "step": 0.02, "scale": 3.5}
    p, g, m, v = (array.astype(np.float64) for array in (parameters, gradient, mean, variance))
    m = 0.9 * m + 0.1 * g
    v = 0.99 * v + 0.01 * g**2
    p -= 0.02 * m / (3.5 * np.sqrt(v) + 1e-3)
    before = gradient.copy()
    adam(level, parameters, gradient, mean, variance, **settings)
    assert_array_equal(gradient, before)
    expected = {"parameters": p, "mean": m, "variance": v}
    assert_near({"parameters": parameters, "mean": mean, "variance": variance}, expected, rtol=RTOL[dtype] / 10)


@each_level
@each_dtype
@pytest.mark.parametrize("n", [1, 3, 70, 1500, 40_000])
def test_the_size_of_a_step_of_adam_is_its_formula(level, dtype, n):
    from sklearn_rnn._network.kernels._kernels import relative_size

    generator = np.random.default_rng(0)
    gradient = generator.normal(size=n).astype(dtype)
    variance = generator.uniform(0.1, 2, size=n).astype(dtype)
    gradient[0] = variance[0] = 0  # 0 over the smallest variance
    g, v = gradient.astype(np.float64), variance.astype(np.float64)
    expected = np.sqrt(np.mean(g**2 / np.maximum(9 * (0.99 * v + 0.01 * g**2), 1e-6)))
    actual = relative_size(level, gradient, variance, beta_2=0.99, epsilon=1e-3, scale=3.0)
    assert_allclose(actual, expected, rtol=RTOL[dtype] / 10)


# ---- Output layers and single steps ----------------------------------------------------------------------------------


@each_level
@each_dtype
@pytest.mark.parametrize("sizes", OUTPUT_SIZES, ids=str)
def test_an_output_layer_is_a_product_and_biases(level, dtype, sizes):
    run = OutputRun(level, dtype, *sizes)
    assert_near({"scores": run.run()}, {"scores": run.expected()}, rtol=RTOL[dtype])


@each_level
@each_dtype
@pytest.mark.parametrize("sizes", [*OUTPUT_SIZES, (600, 33, 9)], ids=str)  # the last one's rows are taken in parts
def test_an_output_layer_carries_errors_back(level, dtype, sizes):
    actual, expected = OutputRun(level, dtype, *sizes).backward()
    assert_near(actual, expected, rtol=RTOL[dtype])


@each_level
@each_dtype
@pytest.mark.parametrize("n_outputs", [1, 3, 21, 70])
def test_a_row_has_the_same_scores_alone_and_with_any_others(level, dtype, n_outputs):
    run = OutputRun(level, dtype, 29, 35, n_outputs)
    scores, hidden = run.run(), run.arrays["hidden"]
    for n_rows in range(1, 15):
        some = full_of_nan((n_rows, n_outputs), dtype)
        run.kernel.run(run.panels, hidden[29 - n_rows :].copy(), some)
        assert_array_equal(some, scores[29 - n_rows :])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [0, 1, 7])
def test_values_of_scores_have_the_bits_of_numpy(dtype, n_rows):
    rng = np.random.default_rng(n_rows)
    scores = rng.normal(size=(n_rows, 3)).astype(dtype)
    scores[:2, 1] = [np.nan, np.inf][:n_rows]
    scale, mean = rng.normal(size=(2, 3)).astype(dtype)
    values = kernels.values_of_scores(scale, mean, False)(scores)
    assert_array_equal(values, scores * scale + mean, strict=True)
    flat = kernels.values_of_scores(scale[:1], mean[:1], True)(scores[:, :1].copy())
    assert_array_equal(flat, scores[:, 0] * scale[0] + mean[0], strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_outputs", [1, 2, 5])
def test_codes_of_scores_are_those_of_numpy(dtype, n_outputs):
    rows = list(itertools.product([-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan], repeat=min(n_outputs, 3)))
    scores = np.resize(np.array(rows, dtype), (len(rows), n_outputs))
    codes = kernels.codes_of_scores()(scores)
    expected = scores.argmax(axis=1) if n_outputs > 1 else (scores[:, 0] > 0).astype(np.intp)
    assert_array_equal(codes, expected, strict=True)


def test_decoding_refuses_arrays_that_are_not_what_it_needs():
    scale, mean = np.ones((2, 2), np.float32)
    values, codes = kernels.values_of_scores(scale, mean, False), kernels.codes_of_scores()
    for fault, message in (
        (np.ones((3, 2)), "float64.*needs 6"),
        (np.ones((3, 3), np.float32), "needs 6"),
        (np.ones((3, 4), np.float32)[:, ::2], "strides"),
        (np.ones(2, np.float32), "2 axes"),
    ):
        with pytest.raises(ValueError, match=message):
            values(fault)
    for fault, message in ((np.ones((3, 2), int), "int64"), (np.ones((3, 0)), "at least 1"), (np.ones(3), "2 axes")):
        with pytest.raises(ValueError, match=message):
            codes(fault)
    with pytest.raises(ValueError, match="2 outputs, but only one is flat"):
        kernels.values_of_scores(scale, mean, True)
    with pytest.raises(ValueError, match="mean has dtype float64"):
        kernels.values_of_scores(scale, mean.astype(float), False)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("pools", POOLS, ids=str)
@pytest.mark.parametrize("n_sequences", [1, 8])
def test_steps_are_the_passes_over_one_step(level, cell, activation, dtype, pools, n_sequences):
    arguments = stepper_arguments(level, cell, activation, dtype, pools, n_sequences, (3, 21, 5, 2))
    kernel, output, states = arguments["kernel"], arguments["output"], [s.copy() for s in arguments["states"]]
    batch_sizes, expected = np.array([n_sequences]), full_of_nan((n_sequences, 2), dtype)
    steps = np.random.default_rng(0).normal(size=(4, n_sequences, 3)).astype(dtype)
    stepper, hidden = Stepper(**arguments), []
    for t, x in enumerate(steps):
        actual, below = stepper.step(x), x
        for panels, state in zip(arguments["panels"], states):
            work = full_of_nan((2 * n_sequences, state.shape[2]), dtype)
            kernel.forward(panels, batch_sizes, below, state, state, work, None, keeps_hidden=False)
            below = state[0]
        hidden.append(below.copy())
        mean = sum(hidden[1:], hidden[0] + dtype(0)) * dtype(1 / (t + 1))
        results = {"last": below, "mean": mean, "max": np.max(hidden, axis=0)}
        pooled = np.concatenate([results[pool] for pool in pools or ("last",)], axis=1)
        output.run(arguments["output_panels"], pooled, expected)
        assert_array_equal(actual, expected)
        for actual_state, state in zip(arguments["states"], states, strict=True):
            assert_array_equal(actual_state, state)
        assert_array_equal(arguments["n_steps"], np.full(n_sequences, t + 1))


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("pools", POOLS, ids=str)
@pytest.mark.parametrize("n_sequences", [1, 8])
def test_several_steps_at_once_are_the_steps_one_by_one(level, cell, activation, dtype, pools, n_sequences):
    problem = (level, cell, activation, dtype, pools, n_sequences, (3, 21, 5, 2))
    one_by_one, at_once = stepper_arguments(*problem), stepper_arguments(*problem)
    stepper, other = Stepper(**one_by_one), Stepper(**at_once)
    steps = np.random.default_rng(0).normal(size=(6, n_sequences, 3)).astype(dtype)
    expected = [stepper.step(x) for x in steps]
    of_each = not pools
    for start, stop in ((0, 4), (4, 5), (5, 6)):
        actual = other.run_steps(steps[start:stop].reshape(-1, 3), stop - start, of_each)
        assert_array_equal(actual, np.concatenate(expected[start:stop]) if of_each else expected[stop - 1])
    for name in ("states", "pooled", "n_steps"):
        for array, right in zip(at_once[name], one_by_one[name], strict=True):
            assert_array_equal(array, right)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("pools", POOLS, ids=str)
@pytest.mark.parametrize("n_sequences", [1, 3])
def test_whole_sequences_of_two_directions_are_the_passes(level, cell, activation, dtype, pools, n_sequences):
    arguments = stepper_arguments(level, cell, activation, dtype, pools, n_sequences, (3, 21, 5, 2), n_directions=2)
    kernel, states = arguments["kernel"], [state.copy() for state in arguments["states"]]
    steps = np.random.default_rng(0).normal(size=(4, n_sequences, 3)).astype(dtype)
    actual = Stepper(**arguments).run_steps(steps.reshape(-1, 3), 4, not pools)
    batch_sizes, x = np.full(4, n_sequences), steps
    for layer in range(2):
        outputs = []
        for k in range(2):
            panels, state = arguments["panels"][2 * layer + k], states[2 * layer + k]
            in_order = np.ascontiguousarray(x[:: -1 if k else 1]).reshape(4 * n_sequences, -1)
            hidden = full_of_nan((5 * n_sequences, state.shape[2]), dtype)
            kernel.forward(panels, batch_sizes, in_order, state, state, hidden, None, keeps_hidden=True)
            outputs.append(hidden[n_sequences:].reshape(4, n_sequences, -1)[:: -1 if k else 1])
        x = np.concatenate(outputs, axis=2)
    mean = sum(x[1:], x[0] + dtype(0)) * dtype(1 / 4)
    results = {"last": np.concatenate([states[2][0], states[3][0]], axis=1), "mean": mean, "max": x.max(axis=0)}
    pooled = np.concatenate([results[pool] for pool in pools], axis=1) if pools else x.reshape(-1, 10)
    expected = full_of_nan((len(pooled), 2), dtype)
    arguments["output"].run(arguments["output_panels"], np.ascontiguousarray(pooled), expected)
    assert_array_equal(actual, expected)
    for state, right in zip(arguments["states"], states, strict=True):
        assert_array_equal(state, right)


def test_a_stepper_of_two_directions_refuses_single_steps_and_half_a_layer():
    arguments = stepper_arguments(LEVELS[0], "gru", "tanh", np.float64, ("last",), 1, (2, 5, 3), n_directions=2)
    with pytest.raises(ValueError, match="call run_steps with whole sequences"):
        Stepper(**arguments).step(np.zeros((1, 2)))
    for change in ({"n_directions": 3}, {"panels": arguments["panels"][:1], "states": arguments["states"][:1]}):
        with pytest.raises(ValueError, match="n_directions"):
            Stepper(**arguments | change)
    other = stepper_arguments(LEVELS[0], "gru", "tanh", np.float64, ("last",), 1, (2, 6, 3))
    mixed = {name: [arguments[name][0], other[name][0]] for name in ("panels", "states")}
    with pytest.raises(ValueError, match="different numbers of units"):
        Stepper(**arguments | mixed)


# ---- Guards ----------------------------------------------------------------------------------------------------------


def strided(array):
    """The same numbers, in every second element of memory."""
    wider = np.zeros((*array.shape, 2), array.dtype)
    wider[..., 0] = array
    return wider[..., 0]


def longer(array, by):
    """An array of zeros whose last axis is longer by ``by``, or shorter if it is negative."""
    return np.zeros((*array.shape[:-1], array.shape[-1] + by), array.dtype)


def unaligned(array):
    """The same numbers, one byte behind an aligned address."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    copied = memory[1:].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


FAULTS = {
    "without axes": lambda array: array.reshape(-1)[:1].reshape(()),
    "other type": lambda array: array.astype(np.float32 if array.dtype == np.float64 else np.float64),
    "integers": lambda array: np.zeros(array.shape, np.int32),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "not contiguous": strided,
    "unaligned": unaligned,
    "too short": lambda array: longer(array, -1),
    "too long": lambda array: longer(array, 1),
}
FORWARD_OUTPUTS = ["final_state", "hidden", "tape"]
FORWARD_ARGUMENTS = ["panels", "batch_sizes", "x", "initial_state", *FORWARD_OUTPUTS]
D_WEIGHTS = ["d_weights.input", "d_weights.recurrent", "d_weights.bias"]
BACKWARD_OUTPUTS = ["d_state", *D_WEIGHTS, "delta", "previous", "d_x"]
BACKWARD_ARGUMENTS = [
    *("panels", "input_panels", "batch_sizes", "x", "hidden", "tape", "d_hidden"),
    *BACKWARD_OUTPUTS,
]


def guarded_run(cell="lstm"):
    return KernelRun(LEVELS[0], Problem(cell, "tanh", np.float64, RAGGED, 3, 5))


def make_backward_arguments(run):
    return run.backward_arguments(run.forward().tape)


def changed(arguments, path, change):
    """Return the arguments with one of them changed; ``path`` is its name, or "name.key" for an array in a dict."""
    name, _, key = path.partition(".")
    value = arguments[name] | {key: change(arguments[name][key])} if key else change(arguments[name])
    return arguments | {name: value}


def arrays_of(arguments):
    """All arrays, also those in dicts, in order."""
    for value in arguments.values():
        if isinstance(value, dict):
            yield from arrays_of(value)
        elif isinstance(value, np.ndarray):
            yield value


def assert_refused(function, arguments):
    """The function raises ValueError, and none of the arrays has changed."""
    before = [array.copy() for array in arrays_of(arguments)]
    with pytest.raises(ValueError, match=r"."):
        function(**arguments)
    for array, original in zip(arrays_of(arguments), before, strict=True):
        assert_array_equal(array, original)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@needs_levels
@pytest.mark.parametrize("name", FORWARD_ARGUMENTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_forward_pass_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = guarded_run()
    run.kernel.forward(**run.forward_arguments())  # the unchanged arguments are accepted
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("name", BACKWARD_ARGUMENTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_backward_pass_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = guarded_run()
    run.kernel.backward(**make_backward_arguments(run))
    assert_refused(run.kernel.backward, changed(make_backward_arguments(run), name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("fault", FAULTS)
def test_a_backward_pass_refuses_another_bias_inside_the_reset_gate(fault):
    run, name = guarded_run("gru"), "d_weights.recurrent_bias"
    assert_refused(run.kernel.backward, changed(make_backward_arguments(run), name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("name", ["input", "recurrent", "bias", "recurrent_bias", "panels"])
@pytest.mark.parametrize("fault", FAULTS)
def test_packing_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = guarded_run("gru")
    kernel, weights = run.kernel, run.problem.weights
    forward_panels = full_of_nan(kernel.forward_panels_size(3, 5), np.float64)
    arguments = weights | {"panels": forward_panels}

    def pack_forward(input, recurrent, bias, recurrent_bias, panels):
        kernel.pack_forward(input, recurrent, bias, recurrent_bias, panels)

    pack_forward(**arguments)
    assert_refused(pack_forward, changed(arguments, name, FAULTS[fault]))
    if name in ("recurrent", "panels"):
        panels = full_of_nan(kernel.transposed_panels_size(5, 5), np.float64)
        arguments = {"weights": weights["recurrent"], "panels": panels}
        kernel.pack_transposed(**arguments)
        changed_name = "weights" if name == "recurrent" else name
        assert_refused(kernel.pack_transposed, changed(arguments, changed_name, FAULTS[fault]))


BAD_SIZES = {
    "no level": (lambda: kernels._kernels.adam(None, *[np.zeros(3)] * 4, 0.9, 0.9, 1e-8, 0.1, 1.0), "level None"),
    "level": (lambda: kernels._kernels.Kernel("v9", "rnn", "tanh", np.float64), "level 'v9' was not built"),
    "no units": (lambda: rnn_kernel().n_delta_rows(np.array([1]), 0), "n_units is 0"),
    "units": (lambda: rnn_kernel().n_delta_rows(np.array([1]), -1), "n_units is -1"),
    "batch sizes": (lambda: rnn_kernel().n_delta_rows(np.array(1), 1), "batch_sizes has shape"),
    "weights without units": (
        lambda: rnn_kernel().pack_forward(np.zeros((1, 0)), np.zeros((0, 0)), np.zeros(0), None, np.zeros(0)),
        "n_units is 0",
    ),
    "state without units": (
        lambda: rnn_kernel().forward(
            np.zeros(0), np.ones(1, int), np.zeros((1, 1)), *[np.zeros((1, 1, 0))] * 2, np.zeros((2, 0))
        ),
        "n_units is 0",
    ),
    "rows without columns": (
        lambda: kernels._kernels.EmbeddingKernel(LEVELS[0], 0, [], [], [], []),
        "n_features is 0",
    ),
}


def rnn_kernel():
    return kernels._kernels.Kernel(LEVELS[0], "rnn", "tanh", np.float64)


@needs_levels
@pytest.mark.parametrize(("call", "message"), BAD_SIZES.values(), ids=BAD_SIZES)
def test_sizes_that_no_kernel_has_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


@needs_levels
@pytest.mark.parametrize(
    ("name", "value"), [("n_inputs", 0), ("n_outputs", -1), ("states", [None]), ("n_steps", np.array(0))], ids=str
)
def test_a_stepper_refuses_sizes_that_no_network_has(name, value):
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", np.float64, (), 4, (2, 5, 3))
    with pytest.raises(ValueError, match=r"is -?\d+: the kernel needs at least 1|has shape \(\)"):
        Stepper(**arguments | {name: value})


@needs_levels
@pytest.mark.parametrize("name", ["panels", "hidden", "scores"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_output_layer_refuses_arrays_that_are_not_what_it_needs(name, fault):
    if name == "scores" and fault in ("too short", "too long"):
        pytest.skip("scores tell how many outputs there are, up to those of the panels")
    run = OutputRun(LEVELS[0], np.float64, 4, 5, 3)
    arguments = {"panels": run.panels, "hidden": run.arrays["hidden"], "scores": run.scores}
    assert_refused(run.kernel.run, changed(arguments, name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("name", ["weight", "bias", "panels"])
@pytest.mark.parametrize("fault", FAULTS)
def test_packing_an_output_layer_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = OutputRun(LEVELS[0], np.float64, 4, 5, 3)
    arguments = {name: run.arrays[name] for name in ("weight", "bias")} | {"panels": run.panels}
    run.kernel.pack(**arguments)
    assert_refused(run.kernel.pack, changed(arguments, name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("name", ["weight", "panels"])
@pytest.mark.parametrize("fault", FAULTS)
def test_packing_the_transposed_output_layer_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = OutputRun(LEVELS[0], np.float64, 4, 5, 3)
    arguments = {"weight": run.arrays["weight"], "panels": run.transposed}
    run.kernel.pack_transposed(**arguments)
    assert_refused(run.kernel.pack_transposed, changed(arguments, name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("name", ["panels", "hidden", "d_scores", "d_weight", "d_bias", "d_hidden"])
@pytest.mark.parametrize("fault", [*FAULTS, "read-only"])
def test_the_backward_pass_of_an_output_layer_refuses_arrays_that_are_not_what_it_needs(name, fault):
    if fault == "read-only" and name in ("panels", "hidden", "d_scores"):
        pytest.skip("it is only read")
    run = OutputRun(LEVELS[0], np.float64, 4, 5, 3)
    arguments = run.backward_arguments()
    run.kernel.backward(**arguments)
    assert_refused(run.kernel.backward, changed(arguments, name, (FAULTS | {"read-only": read_only})[fault]))


@needs_levels
@pytest.mark.parametrize("name", ["panels", "states", "output_panels", "pooled", "n_steps"])
@pytest.mark.parametrize("fault", [*FAULTS, "read-only"])
def test_a_stepper_refuses_arrays_that_are_not_what_it_needs(name, fault):
    if fault == "read-only" and name.endswith("panels"):
        pytest.skip("panels are only read")
    if name == "n_steps" and fault == "too short":
        pytest.skip("n_steps tells how many sequences there are")
    change = (FAULTS | {"read-only": read_only})[fault]
    arguments = stepper_arguments(LEVELS[0], "lstm", "tanh", np.float64, ("mean", "max"), 4, (2, 5, 6, 3))
    Stepper(**arguments)
    right = arguments[name]
    wrong = [right[0], change(right[1])] if isinstance(right, list) else change(right)
    with pytest.raises(ValueError, match=r"."):
        Stepper(**arguments | {name: wrong})


@needs_levels
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": np.array([0, 3])}, "columns has a place that is not among the 3 values of a step"),
        ({"columns": np.array([-1, 0])}, "columns has a place"),
        ({"columns": np.array(0)}, "columns has shape"),
        ({"columns": None}, "columns has shape"),
        ({"columns": np.array([0.0, 1.0])}, "columns has dtype float64"),
        ({"terms": np.zeros((2, 1, 4, 1))}, "terms has dtype float64"),
        ({"terms": np.array(0.0)}, "terms has shape"),
        ({"n_inputs": 1}, "columns has a place"),
    ],
    ids=str,
)
def test_a_stepper_refuses_scalers_that_do_not_fit(change, message):
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", np.float64, (), 4, (2, 5, 3))
    right = StepScaling(3, np.array([0, 2]), np.ones((2, 1, 4, 2)))
    Stepper(**arguments, scaling=right)
    with pytest.raises(ValueError, match=f"^{message}"):
        Stepper(**arguments, scaling=right._replace(**change))


@needs_levels
@pytest.mark.parametrize("fault", FAULTS)
def test_a_stepper_refuses_other_steps_and_stays(fault):
    arguments = stepper_arguments(LEVELS[0], "gru", "tanh", np.float64, ("last",), 4, (2, 5, 3))
    stepper, before = Stepper(**arguments), arguments["states"][0].copy()
    x = FAULTS[fault](np.ones((4, 2)))
    assert not stepper.is_ready(x)
    with pytest.raises(ValueError, match=r"^x has dtype"):
        stepper.step(x)
    assert_array_equal(arguments["states"][0], before)
    assert_array_equal(arguments["n_steps"], np.zeros(4))


@needs_levels
def test_a_stepper_refuses_other_numbers_of_steps_and_stays():
    arguments = stepper_arguments(LEVELS[0], "gru", "tanh", np.float64, ("last",), 4, (2, 5, 3))
    stepper, before, x = Stepper(**arguments), arguments["states"][0].copy(), np.ones((12, 2))
    for n_steps, of_each, message in (
        (2, False, "^x has dtype"),
        (0, False, "^n_steps is 0"),
        (3, True, "^several steps at once"),
    ):
        with pytest.raises(ValueError, match=message):
            stepper.run_steps(x, n_steps, of_each)
    assert_array_equal(arguments["states"][0], before)
    assert_array_equal(arguments["n_steps"], np.zeros(4))


@needs_levels
@each_dtype
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_stepper_is_ready_for_finite_arrays_of_its_own_shape(dtype, value):
    stepper = Stepper(**stepper_arguments(LEVELS[0], "rnn", "tanh", dtype, ("last",), 4, (2, 5, 3)))
    x = np.full((4, 2), np.finfo(dtype).max, dtype)
    assert stepper.is_ready(x)
    for other in (x[:3], x.ravel(), x[None], x.reshape(2, 4), x.tolist()):
        assert not stepper.is_ready(other)
    for index in np.ndindex(x.shape):
        poisoned = x.copy()
        poisoned[index] = value
        assert not stepper.is_ready(poisoned)


@needs_levels
@each_dtype
def test_a_stepper_is_ready_for_finite_chunks_of_a_single_sequence(dtype):
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", dtype, ("last",), 1, (2, 5, 3))
    stepper, X = Stepper(**arguments), np.full((1, 6, 2), np.finfo(dtype).max, dtype)
    assert stepper.n_ready_steps(X) == 6
    swapped, strided = np.dtype(dtype).newbyteorder(), np.ones((1, 12, 2), dtype)[:, ::2]
    others = (
        X[0],
        X.reshape(6, 1, 2),
        X.reshape(1, 4, 3),
        X[:, :0],
        X.astype(swapped),
        np.ones((1, 6, 2), int),
        strided,
    )
    for other in (*others, X.tolist(), np.ma.array(X), None):
        assert stepper.n_ready_steps(other) == 0
    for index in np.ndindex(X.shape):
        poisoned = X.copy()
        poisoned[index] = np.nan
        assert stepper.n_ready_steps(poisoned) == 0
    two = Stepper(**stepper_arguments(LEVELS[0], "rnn", "tanh", dtype, ("last",), 2, (2, 5, 3)))
    scaled = Stepper(**arguments, scaling=StepScaling(2, np.array([0, 1]), np.ones((2, 1, 4, 2))))
    assert two.n_ready_steps(X) == two.n_ready_steps(np.concatenate([X, X])) == scaled.n_ready_steps(X) == 0


@needs_levels
def test_steppers_and_output_layers_of_other_levels_or_types_are_refused():
    with pytest.raises(ValueError, match=r"^level 'v9' was not built"):
        OutputKernel("v9", np.float64)
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", np.float64, ("last",), 4, (2, 5, 3))
    with pytest.raises(ValueError, match=r"^output is of another dtype"):
        Stepper(**arguments | {"output": OutputKernel(LEVELS[0], np.float32)})
    with pytest.raises(ValueError, match=r"^output is of another dtype"):
        Stepper(**arguments | {"states": []})


@needs_levels
@pytest.mark.parametrize("name", FORWARD_OUTPUTS)
def test_a_forward_pass_does_not_write_into_memory_that_is_read_only(name):
    run = guarded_run()
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), name, read_only))


@needs_levels
@pytest.mark.parametrize("name", BACKWARD_OUTPUTS)
def test_a_backward_pass_does_not_write_into_memory_that_is_read_only(name):
    run = guarded_run()
    assert_refused(run.kernel.backward, changed(make_backward_arguments(run), name, read_only))


@needs_levels
@pytest.mark.parametrize(
    "batch_sizes",
    [[7, 4, 3, 3, 1, 0], [5, 4, 3, 4, 1, 1], [5, 5, 4, 4, 1, -1], [5, 4, 4, 3, 1], [5, 4, 4, 3, 1, 1, 1]],
    ids=["more than there are sequences", "increasing", "negative", "too few rows", "too many rows"],
)
def test_batch_sizes_are_those_of_a_packed_batch(batch_sizes):
    def change(right):
        assert right.tolist() == [5, 4, 4, 3, 1, 1]
        return np.array(batch_sizes)

    run = guarded_run()
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), "batch_sizes", change))
    assert_refused(run.kernel.backward, changed(make_backward_arguments(run), "batch_sizes", change))


@needs_levels
def test_deltas_have_room_for_the_largest_step():
    run = guarded_run()
    right = run.backward_arguments(run.forward().tape, n_delta_rows=5)
    run.kernel.backward(**right)
    assert_refused(run.kernel.backward, run.backward_arguments(run.forward().tape, n_delta_rows=4))


@needs_levels
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[::-1],
        lambda rows: np.asfortranarray(rows),
        lambda rows: rows[:, None],
    ],
    ids=["a row is missing", "backwards", "column by column", "three axes"],
)
def test_rows_of_the_error_stand_one_behind_the_other(change):
    run = guarded_run()
    assert_refused(run.kernel.backward, changed(make_backward_arguments(run), "d_hidden", change))


@needs_levels
def test_a_tape_is_not_kept_without_the_hidden_states():
    run = guarded_run()
    assert_refused(run.kernel.forward, run.forward_arguments(keeps_tape=True, keeps_hidden=False))


@needs_levels
@pytest.mark.parametrize("by", [-1, 1])
def test_a_pass_that_keeps_the_state_alone_works_in_memory_for_two_steps(by):
    run = guarded_run()
    right = run.forward_arguments(keeps_tape=False, keeps_hidden=False)
    assert right["hidden"].shape == (2 * len(RAGGED), 5)
    run.kernel.forward(**right)
    assert_refused(run.kernel.forward, changed(right, "hidden", lambda array: longer(array.ravel(), by)))


@needs_levels
@pytest.mark.parametrize("name", ["x", "initial_state"])
def test_axes_are_counted(name):
    run = guarded_run()
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), name, np.ravel))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64", "aarch64", "arm64"), reason="the mode is set on x86-64 and ARM alone"
)
@each_level
@each_dtype
def test_passes_take_subnormal_numbers_for_zero_and_leave_the_arithmetic_of_the_thread_as_it_was(level, dtype):
    smallest = np.full((1, 1), np.finfo(dtype).smallest_subnormal) * 1000
    kernel, one, zero = Kernel(level, "rnn", "identity", dtype), np.ones((1, 1), dtype), np.zeros((1, 1, 1), dtype)
    panels, transposed = (
        np.empty(size, dtype) for size in (kernel.forward_panels_size(1, 1), kernel.transposed_panels_size(1, 1))
    )
    kernel.pack_forward(one, one, np.zeros(1, dtype), None, panels)
    kernel.pack_transposed(one, transposed)
    batch_sizes, hidden, tape = np.ones(1, np.int64), np.empty((2, 1), dtype), np.empty((1, 0), dtype)
    x, final, d_state = smallest.astype(dtype), zero.copy(), smallest[None].astype(dtype)
    kernel.forward(panels, batch_sizes, x, zero, final, hidden, tape)
    assert hidden[1, 0] == 0
    d_weights = {"input": 0 * one, "recurrent": 0 * one, "bias": np.zeros(1, dtype)}
    work = np.empty((1, kernel.delta_row_size(1)), dtype), np.empty((0, 1), dtype)
    kernel.backward(transposed, None, batch_sizes, one, hidden, tape, None, d_state, d_weights, *work)
    assert d_weights["input"][0, 0] == 0
    assert (x * one)[0, 0] == x[0, 0] > 0


@needs_levels
@pytest.mark.parametrize("level", ["v9", "numpy", ""])
def test_a_kernel_that_was_not_built_is_an_error(level):
    from sklearn_rnn._network.kernels._kernels import adam

    message = f"^level '{level}' was not built"
    with pytest.raises(ValueError, match=message):
        Kernel(level, "rnn", "tanh", np.float64)
    vector = np.zeros(1)
    with pytest.raises(ValueError, match=message):
        adam(level, vector, vector, vector, vector, beta_1=0.9, beta_2=0.99, epsilon=1e-3, step=1, scale=1)


@needs_levels
@pytest.mark.parametrize(
    ("cell", "activation", "message"),
    [
        ("peephole", "tanh", r"cell 'peephole' has no compiled kernel: .* \(rnn, lstm, gru\)"),
        ("rnn", "elu", r"activation 'elu' .* in cell 'rnn': .* \(identity, logistic, relu, tanh\)"),
        ("gru", "relu", r"activation 'relu' .* in cell 'gru': .* \(tanh\)"),
    ],
)
def test_a_cell_or_activation_without_a_kernel_is_an_error_that_names_it(cell, activation, message):
    assert not kernels.has_cell(cell, activation)
    with pytest.raises(ValueError, match=f"^{message}"):
        Kernel(LEVELS[0], cell, activation, np.float64)


@needs_levels
@pytest.mark.parametrize("dtype", [np.float16, np.int32, ">f4"])
def test_a_type_without_a_kernel_is_an_error_that_names_it(dtype):
    message = f"^dtype is {np.dtype(dtype)}"
    with pytest.raises(ValueError, match=message):
        Kernel(LEVELS[0], "rnn", "tanh", dtype)
    with pytest.raises(ValueError, match=message):
        OutputKernel(LEVELS[0], dtype)


@needs_levels
def test_a_pool_without_a_kernel_is_an_error_that_names_it():
    assert not kernels.has_pool("attention")
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", np.float64, ("last",), 4, (2, 5, 3))
    with pytest.raises(ValueError, match=r"^pool 'attention' has no compiled kernel: .* \(last, mean, max\)"):
        Stepper(**arguments | {"pools": ("attention",)})


@needs_levels
def test_a_stepper_needs_an_array_for_each_pool_with_a_memory():
    arguments = stepper_arguments(LEVELS[0], "rnn", "tanh", np.float64, ("last", "max"), 4, (2, 5, 3))
    with pytest.raises(ValueError, match=r"^pooled has 0 arrays, but 1 of the pools \('last', 'max'\) have a memory"):
        Stepper(**arguments | {"pooled": []})


@each_cell
def test_has_cell_and_has_pool_are_true_where_kernels_serve(cell, activation):
    kernels_serve = kernels.name != "numpy"
    assert kernels.has_cell(cell, activation) == kernels_serve
    for pool in ("last", "mean", "max"):
        assert kernels.has_pool(pool) == kernels_serve


@each_level
@each_cell
@each_dtype
def test_a_kernel_counts_gates_and_states_as_its_numpy_cell_does(level, cell, activation, dtype):
    kernel, numpy_cell = Kernel(level, cell, activation, dtype), numpy_cells.CELLS[cell](activation)
    assert kernel.n_gates == numpy_cell.n_gates
    assert kernel.n_states == numpy_cell.n_states
    assert kernel.n_deltas == {"rnn": 1, "lstm": 4, "gru": 4}[cell]  # GRU: the candidate's delta, and its part in U
    assert kernel.has_recurrent_bias == ("recurrent_bias" in numpy_cell.parameter_shapes(1, 1))
    with pytest.raises(AttributeError):
        kernel.n_gates = 2


@needs_levels
def test_an_argument_that_is_none_is_an_error_and_no_crash():
    program = """
from test_kernels import *

run = guarded_run("gru")
weights = run.problem.weights
packing = {"input_weights": weights["input"], "recurrent": weights["recurrent"], "bias": weights["bias"],
           "recurrent_bias": weights["recurrent_bias"], "panels": run.forward_arguments()["panels"]}
forward, backward = run.forward_arguments(), make_backward_arguments(run)
transposed_packing = {"weights": weights["recurrent"], "panels": backward["panels"]}
for method, arguments, optional in (
    ("pack_forward", packing, []),
    ("pack_transposed", transposed_packing, []),
    ("forward", forward, ["tape", "keeps_hidden"]),
    ("backward", backward, ["d_hidden", "d_x"]),
):
    for name in arguments:
        if name not in optional:
            print(method, name, flush=True)
            with pytest.raises((TypeError, ValueError)):
                getattr(run.kernel, method)(**arguments | {name: None})
"""
    output = run_python(program).splitlines()
    assert len(output) == 5 + 2 + 7 + 11


@needs_linux
@each_level
def test_kernels_stay_inside_their_arrays(level):
    # One process for all: it prints what it runs, so that an error shows where the process died.
    n_int8_levels = 2 if level == "v4" and "v4_vnni" in INT8_LEVELS else 1
    n_runs = {
        "run_between_guards": 2 * len(CELLS) * 2 * (len(GUARDED_SIZES) * 2 + 1),
        "run_in_place_between_guards": 2 * len(CELLS) * 2 * len(IN_PLACE_SIZES) * 2,
        "run_int8_between_guards": 2 * len(CELLS) * 2 * len(GUARDED_SIZES) * 2 * n_int8_levels,
        "run_outputs_and_steps_between_guards": 2 * 2 * (len(OUTPUT_SIZES) + len(CELLS) * len(POOLS)),
        "run_embeddings_between_guards": 2 * 2 * len(EMBEDDING_SIZES),
        "run_losses_and_pools_between_guards": 2 * 2 * len(OUTPUT_SIZES),
    }
    program = "import kernel_problems\n"
    program += "".join(f"print({run!r})\nkernel_problems.{run}({level!r})\n" for run in n_runs)
    lines = run_python(program).splitlines()
    starts = [lines.index(run) for run in n_runs]
    counted = {run: stop - start - 1 for run, start, stop in zip(n_runs, starts, [*starts[1:], len(lines)])}
    assert counted == n_runs


@needs_linux
@pytest.mark.parametrize(("side", "index"), [("front", -1), ("end", 5)])
def test_guards_are_where_they_should_be(side, index):
    program = f"""
import ctypes
from kernel_problems import GuardedMemory

array = GuardedMemory({side!r})((5,), "float64")
element = ctypes.c_double * 1
for i in [*range(5), {index}]:
    print(i, element.from_address(array.ctypes.data + 8 * i)[0], flush=True)
"""
    with pytest.raises(AssertionError, match=f"^exit status -{signal.SIGSEGV.value}\n") as error:
        run_python(program)
    assert [line[:5] for line in str(error.value).splitlines()[1:6]] == [f"{i} nan" for i in range(5)]


# ---- The choice of the kernel ----------------------------------------------------------------------------------------


@cache
def served_by(kernel):
    """Run a process with a forced kernel; return the kernel's name, show_versions' last line, and predictions."""
    program = """
        import json

        import numpy as np
        from sklearn_rnn import RNNClassifier, show_versions
        from sklearn_rnn._network import kernels

        generator = np.random.default_rng(0)
        X, y = [generator.normal(size=(n, 2)) for n in (5, 1, 7, 3, 5, 4)], [0, 1, 0, 1, 1, 0]
        probabilities = {}
        for cell in ("rnn", "lstm", "gru"):
            classifier = RNNClassifier((20,), cell=cell, max_iter=20, n_iter_no_change=np.inf, random_state=0)
            probabilities[cell] = classifier.fit(X, y).predict_proba(X)[:, 1].tolist()
        show_versions()
        print(kernels.name)
        print(json.dumps(probabilities))
    """
    *_, version, name, probabilities = run_python(program, kernel=kernel).splitlines()
    return name, version, json.loads(probabilities)


@pytest.mark.parametrize("kernel", kernels.available())
def test_the_kernel_that_the_environment_asks_for_serves(kernel):
    name, version, probabilities = served_by(kernel)
    assert name == kernel
    engine = {"numpy": "NumPy (SKLEARN_RNN_KERNEL=numpy)", "generic": "compiled kernels, generic"}
    assert version == f"engine: {engine.get(kernel, f'compiled kernels, x86-64-{kernel}')}"
    _, _, expected = served_by("numpy")
    for cell in ("rnn", "lstm", "gru"):
        assert np.ptp(expected[cell]) > 0.1  # the weights have been trained
        assert_allclose(probabilities[cell], expected[cell], rtol=0, atol=1e-6)


def test_without_the_variable_the_first_available_build_serves():
    output = run_python(
        "from sklearn_rnn._network import kernels\nprint(kernels.name, *kernels.available())", kernel=""
    )
    chosen, *names = output.split()
    assert chosen == names[0]
    assert names == kernels.available()
    assert names[-1] == "numpy"


def test_a_name_that_is_not_available_is_an_error_that_lists_those_that_are():
    with pytest.raises(AssertionError) as error:
        run_python("import sklearn_rnn", kernel="v9")
    message = str(error.value).splitlines()[-1]
    names = ", ".join(kernels.available())
    assert message == (
        f"ImportError: SKLEARN_RNN_KERNEL='v9': this processor has no build of that name. Set one of {names}, or unset "
        "the variable."
    )


def reason_of_a_copy(*folders, kernel=""):
    """``missing_reason`` in a process whose ``sys.path`` begins with ``folders``, and has no other copy."""
    program = """
        import sys
        from pathlib import Path

        import sklearn_rnn  # with its dependencies, whose folder may be that of an installed copy

        for name in [name for name in sys.modules if name.split(".")[0] == "sklearn_rnn"]:
            del sys.modules[name]
        del sklearn_rnn
        others = [entry for entry in sys.path if not Path(entry, "sklearn_rnn").exists()]
        sys.path[:] = [*sys.argv[1:], *others]
        from sklearn_rnn._network import kernels

        assert Path(kernels.__file__).is_relative_to(sys.argv[1])
        assert kernels.name == "numpy"
        assert not kernels.has_cell("lstm", "tanh")
        assert not kernels.has_pool("last")
        print(kernels.missing_reason)
    """
    return run_python(program, *folders, kernel=kernel).removesuffix("\n")


EXTENSION_FOLDER = Path("sklearn_rnn", "_network", "kernels")


def test_a_package_that_was_installed_without_a_compiler_says_so(copy_without_kernels):
    reason = reason_of_a_copy(copy_without_kernels)
    assert reason.startswith(f"the compiled extension is not in {copy_without_kernels / EXTENSION_FOLDER}: no working")
    assert "reinstall sklearn-rnn" in reason


def test_a_checkout_without_the_extension_says_how_to_build_it(copy_without_kernels):
    (copy_without_kernels / "pyproject.toml").touch()
    reason = reason_of_a_copy(copy_without_kernels)
    assert reason.startswith(f"the compiled extension is not in {copy_without_kernels / EXTENSION_FOLDER}: this is a")
    assert reason.endswith(f'then run "pip install -e ." in {copy_without_kernels}.')


def test_a_checkout_that_hides_a_package_with_the_extension_says_where_that_is(copy_without_kernels, tmp_path):
    (copy_without_kernels / "pyproject.toml").touch()
    installed = tmp_path / "site-packages"
    (installed / EXTENSION_FOLDER).mkdir(parents=True)
    foreign = installed / EXTENSION_FOLDER / "_kernels.another-python.so"
    foreign.touch()
    assert str(installed) not in reason_of_a_copy(copy_without_kernels, installed)
    foreign.rename(foreign.with_name(f"_kernels{EXTENSION_SUFFIXES[0]}"))
    reason = reason_of_a_copy(copy_without_kernels, installed)
    assert f"the sklearn-rnn installed in {installed} has one; start Python in another folder" in reason
    assert f"so that {copy_without_kernels} is not on sys.path" in reason


def test_no_reason_is_given_where_numpy_was_asked_for_or_kernels_serve(copy_without_kernels):
    assert reason_of_a_copy(copy_without_kernels, kernel="numpy") == "None"
    assert kernels.missing_reason is None or kernels.available() == ["numpy"]


def outputs(estimator, X):
    """Probabilities of a classifier, predictions of a regressor."""
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)


def test_models_pickled_where_kernels_serve_go_on_where_numpy_serves_and_back(tmp_path):
    X, y = make_sequences((5, 3, 7, 4)), [0, 1, 0, 1]
    options = {"n_iter_no_change": np.inf, "max_iter": 3, "random_state": 0}
    estimators = [
        make_estimator((9,), cell=cell, **options).fit(X, y)
        for make_estimator in (RNNClassifier, RNNRegressor)
        for cell in ("rnn", "lstm", "gru")
    ]
    (tmp_path / "here").write_bytes(pickle.dumps([(one, outputs(one, X)) for one in estimators]))
    program = """
        import pickle
        import sys
        from pathlib import Path

        from helpers import make_sequences
        from numpy.testing import assert_allclose
        from sklearn_rnn._network import kernels
        from test_kernels import outputs

        here, there = map(Path, sys.argv[1:])
        X, y, returned = make_sequences((5, 3, 7, 4)), [0, 1, 0, 1], []
        for estimator, expected in pickle.loads(here.read_bytes()):
            assert_allclose(outputs(estimator, X), expected, rtol=0, atol=1e-6)
            estimator.partial_fit(X, y)
            returned.append((estimator, outputs(estimator, X), type(estimator._model.network.engine).__name__))
        there.write_bytes(pickle.dumps(returned))
        print(kernels.name)
    """
    assert run_python(program, tmp_path / "here", tmp_path / "there", kernel="numpy") == "numpy\n"
    returned = pickle.loads((tmp_path / "there").read_bytes())
    assert len(returned) == 6
    for estimator, (traveller, expected, engine_there) in zip(estimators, returned, strict=True):
        assert engine_there == "NumpyEngine"
        assert traveller._model.network.engine is estimator._model.network.engine is engines.serving
        assert type(traveller._model.network.recurrence) is type(estimator._model.network.recurrence)
        assert_allclose(outputs(traveller, X), expected, rtol=0, atol=1e-6)
        assert np.abs(outputs(estimator, X) - expected).max() > 1e-4  # training has continued
        assert_allclose(outputs(estimator.partial_fit(X, y), X), expected, rtol=0, atol=1e-6)
