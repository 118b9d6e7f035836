"""The kernels with weights of 8 bits: comparison with the NumPy cells, exact sums at every level, bits and arguments.

``test_kernels.py`` runs them between guard pages.
"""

import numpy as np
import pytest
from kernel_problems import (
    INT8_LEVELS,
    Int8Kernel,
    Int8Run,
    Problem,
    Stepper,
    assert_near,
    each_cell,
    each_dtype,
    each_int8_level,
    stepper_arguments,
)
from numpy.testing import assert_allclose, assert_array_equal
from test_kernels import FAULTS, assert_refused, changed, needs_levels, read_only

RTOL = {np.float32: 1e-5, np.float64: 1e-12}
RAGGED = (6, 4, 4, 3, 1, 0)
# Features and units: one, no multiple of a group of 4 or of a vector, whole vectors, and several panels.
SIZES = [(1, 1), (2, 3), (5, 10), (3, 16), (64, 17), (9, 50), (16, 64), (33, 100)]
each_layer = pytest.mark.parametrize("is_first", [True, False], ids=["first layer", "later layer"])


# ---- Results ---------------------------------------------------------------------------------------------------------


@each_int8_level
@each_cell
@each_dtype
@each_layer
def test_a_step_is_that_of_the_numpy_cell(level, cell, activation, dtype, is_first):
    for n_features, n_units in SIZES:
        for n_sequences in (1, 13):
            problem = Problem(cell, activation, dtype, [1] * n_sequences, n_features, n_units)
            run = Int8Run(level, problem, is_first=is_first)
            results, expected = (dict(zip(("hidden", "state"), arrays)) for arrays in (run.forward(), run.expected()))
            assert_near(results, expected, rtol=RTOL[dtype], message=f"{n_features}, {n_units}, {n_sequences}")


def integer_problem(dtype, n_units, largest):
    """A step of h U, in which all scales are 1: every state and every weight is an integer of 8 bits."""
    generator = np.random.default_rng(n_units)
    problem = Problem("rnn", "identity", dtype, [1, 1, 1], 2, n_units)
    problem.weights["input"][...] = problem.weights["bias"][...] = 0
    for array in (problem.weights["recurrent"], problem.state):
        array[...] = 127 if largest else generator.integers(-127, 128, array.shape)
        array[..., :1, :] = array[..., :1] = 127
    return problem


@each_int8_level
@each_dtype
@pytest.mark.parametrize("n_units", [1, 4, 7, 31, 300])
@pytest.mark.parametrize("largest", [False, True])
def test_sums_are_exact_at_every_level(level, dtype, n_units, largest):
    problem = integer_problem(dtype, n_units, largest)
    expected = problem.state[0].astype(int) @ problem.weights["recurrent"].astype(int)
    assert np.abs(expected).max() < 2**24  # float32 has them all
    assert_array_equal(Int8Run(level, problem, is_first=True).forward()[0], expected)


@each_int8_level
def test_sums_of_the_most_units_do_not_overflow(level):
    n_units = 2**16
    kernel = Int8Kernel(level, "rnn", "identity", np.float64)
    panels = np.zeros(kernel.forward_panels_size(n_units, 1), np.int64)
    weights = {"input_weights": np.full((n_units, 1), -127, np.int8), "recurrent": np.zeros((1, 1), np.int8)}
    scales = {"input_scales": np.ones(1), "recurrent_scales": np.zeros(1)}
    kernel.pack_forward(**weights, bias=np.zeros(1), recurrent_bias=None, panels=panels, **scales)
    for sign in (1, -1):
        hidden, state = np.empty((2, 1)), np.zeros((1, 1, 1))
        x = np.full((1, n_units), 127.0 * sign)
        kernel.forward(panels, np.ones(1, np.int64), x, state, np.empty_like(state), hidden)
        assert hidden[1, 0] == -sign * 127 * 127 * n_units


# ---- Bits ------------------------------------------------------------------------------------------------------------


@each_int8_level
@each_cell
@each_dtype
@each_layer
@pytest.mark.parametrize("n_units", [1, 10, 17, 70])
def test_a_sequence_has_the_same_bits_alone_and_in_any_batch(level, cell, activation, dtype, n_units, is_first):
    problem = Problem(cell, activation, dtype, range(1, 18), 3, n_units)
    together, final_state = Int8Run(level, problem, is_first=is_first).forward()
    for places in ([0], [3], [1, 2, 4], [2, 3, 5, 7, 11, 13, 16]):
        places = np.array(places)
        hidden, state = Int8Run(level, problem.batch(places), is_first=is_first).forward()
        assert_array_equal(state, final_state[:, places])
        for i, place in enumerate(places):
            assert_array_equal(hidden[problem.batch(places).rows_of(i)], together[problem.rows_of(place)])


@each_int8_level
@each_cell
@each_dtype
def test_passes_give_the_same_bits_whatever_they_keep(level, cell, activation, dtype):
    run = Int8Run(level, Problem(cell, activation, dtype, RAGGED, 3, 17))
    assert_array_equal(run.forward(keeps_hidden=False)[1], run.forward()[1])


def int8_stepper_arguments(level, cell, activation, dtype, n_sequences):
    """All arguments of a stepper of two layers, and the runs of both."""
    arguments = stepper_arguments("generic", cell, activation, dtype, ("mean",), n_sequences, (3, 17, 6, 2))
    runs = []
    for is_first, n_features, n_units in ((True, 3, 17), (False, 17, 6)):
        problem = Problem(cell, activation, dtype, [1] * n_sequences, n_features, n_units)
        runs.append(Int8Run(level, problem, is_first=is_first))
    return arguments | {"kernel": runs[0].kernel, "panels": [run.panels() for run in runs]}, runs


@each_int8_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_sequences", [1, 7])
def test_steps_are_the_passes_over_one_step(level, cell, activation, dtype, n_sequences):
    arguments, runs = int8_stepper_arguments(level, cell, activation, dtype, n_sequences)
    states = [state.copy() for state in arguments["states"]]
    x = np.random.default_rng(0).normal(size=(4, n_sequences, 3)).astype(dtype)
    stepper = Stepper(**arguments)
    for x_t in x:
        stepper.step(x_t)
        rows = x_t
        for depth, run in enumerate(runs):
            run.problem.x, run.problem.state = rows, states[depth]
            rows, states[depth] = run.forward()
        for actual, expected in zip(arguments["states"], states):
            assert_array_equal(actual, expected)
    twin = int8_stepper_arguments(level, cell, activation, dtype, n_sequences)[0]
    Stepper(**twin).run_steps(x.reshape(-1, 3), 4, False)
    for actual, expected in zip(twin["states"] + twin["pooled"], arguments["states"] + arguments["pooled"]):
        assert_array_equal(actual, expected)


# ---- Values that no integer holds ------------------------------------------------------------------------------------


@each_int8_level
@each_cell
@each_dtype
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["state", "x"])
def test_a_value_that_is_not_finite_makes_its_own_sequence_nan(level, cell, activation, dtype, value, where):
    problem = Problem(cell, activation, dtype, [3, 3, 3], 4, 17)
    expected = Int8Run(level, problem).forward()[0]
    if where == "state":
        problem.state[0, 1, 5] = value
    else:
        problem.x[1, 2] = value
    hidden = Int8Run(level, problem).forward()[0]
    rows = problem.rows_of(1)
    assert np.isnan(hidden[rows]).all()
    others = np.setdiff1d(np.arange(len(hidden)), rows)
    assert_array_equal(hidden[others], expected[others])


@each_int8_level
@each_dtype
def test_zeros_have_a_scale_of_zero(level, dtype):
    problem = Problem("lstm", "tanh", dtype, [2, 2], 3, 10)
    problem.weights["recurrent"][:, 7] = 0
    problem.state[0, 1] = 0
    problem.x[0] = 0
    run = Int8Run(level, problem)
    assert run.weights["recurrent"].scales[7] == 0
    hidden, _ = run.forward()
    assert_allclose(hidden[:2], run.expected()[0][:2], rtol=0, atol=RTOL[dtype])


# ---- Arguments -------------------------------------------------------------------------------------------------------


def make_run(cell="lstm", is_first=False):
    return Int8Run(INT8_LEVELS[0], Problem(cell, "tanh", np.float64, RAGGED, 3, 5), is_first=is_first)


@needs_levels
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["panels", "x", "initial_state", "final_state", "hidden", "work"])
def test_a_forward_pass_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = make_run()
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), name, FAULTS[fault]))


@needs_levels
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "name", ["input_weights", "recurrent", "bias", "recurrent_bias", "panels", "input_scales", "recurrent_scales"]
)
def test_packing_refuses_arrays_that_are_not_what_it_needs(name, fault):
    run = make_run("gru")
    arguments = run.pack_arguments()
    if fault in ("other byte order", "unaligned") and arguments[name].dtype == np.int8:
        assert_array_equal(FAULTS[fault](arguments[name]), arguments[name])  # no fault of single bytes
        return
    assert_refused(run.kernel.pack_forward, changed(arguments, name, FAULTS[fault]))


@needs_levels
def test_packing_needs_scales_for_integers_and_for_them_alone():
    first, later = make_run(is_first=True), make_run()
    assert_refused(later.kernel.pack_forward, later.pack_arguments() | {"input_scales": None})
    scales = later.pack_arguments()["input_scales"]
    assert_refused(first.kernel.pack_forward, first.pack_arguments() | {"input_scales": scales})
    assert_refused(first.kernel.pack_forward, first.pack_arguments() | {"recurrent_scales": None})


@needs_levels
@pytest.mark.parametrize("name", ["final_state", "hidden", "work"])
def test_a_forward_pass_does_not_write_into_memory_that_is_read_only(name):
    run = make_run()
    assert_refused(run.kernel.forward, changed(run.forward_arguments(), name, read_only))


@needs_levels
@pytest.mark.parametrize("is_first", [True, False])
def test_panels_of_the_other_kind_of_layer_are_refused(is_first):
    run, other = make_run(is_first=is_first), make_run(is_first=not is_first)
    panels = run.panels()
    panels[0] = other.panels()[0]
    assert_refused(run.kernel.forward, run.forward_arguments() | {"panels": panels})
    assert_refused(run.kernel.forward, run.forward_arguments() | {"panels": panels[:4]})
    assert_refused(run.kernel.forward, run.forward_arguments() | {"panels": None})


@needs_levels
def test_a_kernel_takes_the_memory_of_its_work_if_none_is_given():
    run = make_run()
    expected, _ = run.forward()
    arguments = run.forward_arguments() | {"work": None}
    run.kernel.forward(**arguments)
    assert_array_equal(arguments["hidden"][len(RAGGED) :], expected)


@needs_levels
def test_there_is_no_tape_and_no_backward_pass():
    run = make_run()
    tape = np.empty((run.problem.packing.n_rows, run.kernel.tape_row_size(5)))
    with pytest.raises(ValueError, match=r"^tape is given, but weights in 8 bits have no backward pass"):
        run.kernel.forward(**run.forward_arguments() | {"tape": tape})
    with pytest.raises(ValueError, match=r"^weights in 8 bits have no backward pass"):
        run.kernel.backward()


@needs_levels
def test_a_level_without_kernels_is_an_error():
    with pytest.raises(ValueError, match=r"^level 'v5' was not built"):
        Int8Kernel("v5", "lstm", "tanh", np.float32)
