"""Both directions of a layer in place: kernels that read backwards, and write h into columns of a wider array."""

import itertools
from functools import partial

import numpy as np
import pytest
from helpers import ENGINES, make_network
from kernel_problems import (
    LEVELS,
    InPlaceRun,
    Int8Run,
    KernelRun,
    Problem,
    assert_near,
    each_cell,
    each_dtype,
    each_level,
    full_of_nan,
    in_reverse,
)
from numpy.testing import assert_array_equal

from sklearn_rnn._data.packing import Packing
from sklearn_rnn._network.buffers import NetworkBuffers
from sklearn_rnn._network.engines.compiled_engine import CompiledRecurrence

needs_levels = pytest.mark.skipif(not LEVELS, reason="no kernels were compiled")

RTOL = {np.float32: 1e-5, np.float64: 1e-12}
BY_STEP = ("hidden", "d_x")  # results with a row for each step


# ---- Kernels ---------------------------------------------------------------------------------------------------------


def in_time(results, packing):
    """Return the results of a problem with its steps in reverse order, those of each step in the order of time."""
    return results | {name: in_reverse(results[name], packing) for name in BY_STEP if name in results}


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("n_units", [1, 10, 67])
@pytest.mark.parametrize(("n_sequences", "n_steps"), [(1, 1), (1, 30), (7, 4), (37, 3)])
def test_a_kernel_that_reads_backwards_gives_what_it_gives_for_reversed_copies(
    level, cell, activation, dtype, n_units, n_sequences, n_steps
):
    for d_hidden, needs_d_x in (("columns", True), ("none", False)):
        options = {"d_hidden": d_hidden, "needs_d_x": needs_d_x}
        problem = Problem(cell, activation, dtype, [n_steps] * n_sequences, 5, n_units, **options)
        for n_delta_rows in (None, n_sequences, 2 * n_sequences + 1):
            copied = in_time(KernelRun(level, problem.backwards()).both(n_delta_rows), problem.packing)
            in_place = InPlaceRun(level, problem).both(n_delta_rows)
            for name in ("hidden", "final_state", "d_x", "d_initial_state"):
                if name in copied:
                    assert_array_equal(in_place[name], copied[name], err_msg=name)
            assert_near(in_place, copied, rtol=RTOL[dtype])  # sums over the steps have another order


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("lengths", [(4, 4, 4, 4, 4), (6, 4, 4, 3, 1, 0)], ids=str)
def test_a_kernel_that_writes_h_into_columns_gives_the_same_bits(level, cell, activation, dtype, lengths):
    for n_units in (1, 10, 67):
        problem = Problem(cell, activation, dtype, lengths, 3, n_units)
        expected = KernelRun(level, problem).both()
        for name, array in InPlaceRun(level, problem, is_reverse=False).both().items():
            assert_array_equal(array, expected[name], err_msg=name)


@each_level
@each_cell
@each_dtype
@pytest.mark.parametrize("is_reverse", [False, True])
def test_a_kernel_in_place_leaves_the_memory_around_it_alone(level, cell, activation, dtype, is_reverse):
    for n_units, lengths in itertools.product((1, 10, 67), ([4] * 7, [3])):
        problem = Problem(cell, activation, dtype, lengths, 3, n_units)
        after_nan = InPlaceRun(level, problem, is_reverse=is_reverse).both()
        assert all(np.isfinite(array).all() for array in after_nan.values())
        for garbage in (0, -1e30):
            run = InPlaceRun(level, problem, partial(full_of_nan, garbage=garbage), is_reverse=is_reverse)
            for name, array in run.both().items():
                assert_array_equal(array, after_nan[name], err_msg=name)
            run.own(run.wider)[...] = garbage
            assert_array_equal(run.wider, np.full_like(run.wider, garbage))


@each_level
@each_cell
@each_dtype
def test_a_kernel_that_reads_backwards_gives_the_same_bits_whatever_it_keeps(level, cell, activation, dtype):
    for n_units in (1, 17, 70):
        run = InPlaceRun(level, Problem(cell, activation, dtype, [6] * 5, 3, n_units))
        with_tape, without_tape = run.forward(), run.forward(keeps_tape=False)
        assert_array_equal(without_tape.hidden, with_tape.hidden)
        assert_array_equal(without_tape.final_state, with_tape.final_state)
        state_alone = run.forward(keeps_tape=False, keeps_hidden=False)
        assert_array_equal(state_alone.final_state, with_tape.final_state)


@each_level
@each_cell
@pytest.mark.parametrize("lengths", [[], [0, 0]], ids=["no sequences", "no steps"])
def test_a_kernel_that_reads_backwards_passes_state_and_error_through_no_steps(level, cell, activation, lengths):
    problem = Problem(cell, activation, np.float32, [0, 0], 3, 5)
    problem = problem.batch(np.arange(len(lengths)))
    results = InPlaceRun(level, problem).both()
    assert_array_equal(results["final_state"], problem.state)
    assert_array_equal(results["d_initial_state"], problem.d_state)
    assert len(results["hidden"]) == len(results["d_x"]) == 0


@each_level
@each_dtype
def test_a_kernel_of_8_bits_reads_backwards_too(level, dtype):
    problem = Problem("gru", "tanh", dtype, [4] * 7, 3, 17)
    copied, run = Int8Run(level, problem.backwards()), Int8Run(level, problem)
    hidden, final_state = copied.forward()
    arguments = run.forward_arguments()
    wider = np.full((len(arguments["hidden"]), 40), np.nan, dtype)
    run.kernel.forward(**arguments | {"hidden": wider[:, 20:37], "is_reverse": True})
    assert_array_equal(wider[:-7, 20:37], in_reverse(hidden, problem.packing))
    assert_array_equal(arguments["final_state"], final_state)


# ---- Arguments -------------------------------------------------------------------------------------------------------


def overlapping(array):
    """The rows of an array, each of which begins inside the one before."""
    return np.lib.stride_tricks.as_strided(array, strides=(array.itemsize, array.itemsize))


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


FAULTS = {
    "a row is missing": lambda hidden: hidden[:-1],
    "a column is missing": lambda hidden: hidden[:, :-1],
    "rows are backwards": lambda hidden: hidden[::-1],
    "columns are backwards": lambda hidden: hidden[:, ::-1],
    "column by column": np.asfortranarray,
    "rows overlap": overlapping,
    "three axes": lambda hidden: hidden[:, None],
    "other type": lambda hidden: hidden.astype(np.float64),
    "no array": lambda hidden: hidden.tolist(),
}


@needs_levels
@pytest.mark.parametrize("is_reverse", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_columns_that_are_not_what_the_kernel_needs_are_refused(fault, is_reverse):
    run = InPlaceRun(LEVELS[0], Problem("lstm", "tanh", np.float32, [4] * 7, 3, 5), is_reverse=is_reverse)
    forward, backward = run.forward_arguments(), run.backward_arguments(run.forward().tape)
    for call, arguments in ((run.kernel.forward, forward), (run.kernel.backward, backward)):
        wrong = FAULTS[fault](arguments["hidden"])
        with pytest.raises(ValueError, match=r"^hidden "):
            call(**arguments | {"hidden": wrong})
        call(**arguments)


@needs_levels
def test_columns_that_are_read_only_are_refused_where_the_kernel_writes():
    run = InPlaceRun(LEVELS[0], Problem("lstm", "tanh", np.float32, [4] * 7, 3, 5))
    forward, backward = run.forward_arguments(), run.backward_arguments(run.forward().tape)
    with pytest.raises(ValueError, match=r"^hidden is read-only"):
        run.kernel.forward(**forward | {"hidden": read_only(forward["hidden"])})
    run.kernel.backward(**backward | {"hidden": read_only(backward["hidden"])})


@needs_levels
def test_a_kernel_reads_only_sequences_of_equal_lengths_backwards():
    run = KernelRun(LEVELS[0], Problem("gru", "tanh", np.float32, [4, 4, 3], 3, 5))
    backward = run.backward_arguments(run.forward().tape)
    for call, arguments in ((run.kernel.forward, run.forward_arguments()), (run.kernel.backward, backward)):
        with pytest.raises(ValueError, match=r"^batch_sizes has steps of less than 3 rows: with is_reverse"):
            call(**arguments | {"is_reverse": True})


# ---- Layers ----------------------------------------------------------------------------------------------------------


def pass_results(network, lengths, keeps_tape):
    """All results of a pass over a batch, by name, and the names of its work arrays."""
    generator, packing, buffers = np.random.default_rng(0), Packing(np.array(lengths)), NetworkBuffers()
    rows, weights = generator.normal(size=(packing.n_rows, 2)), network.prepare()
    state = [generator.normal(size=part.shape) for part in network.initial_state(len(lengths))]
    hidden, after, tape = network.forward(weights, rows, packing, state, buffers, keeps_tape=keeps_tape)
    results = {"hidden": hidden.copy()} | {f"state {k}": array for k, array in enumerate(after)}
    if keeps_tape:
        d_state = [generator.normal(size=part.shape) for part in state]
        gradient, work = network.parameters.like(), NetworkBuffers()
        gradient.vector[...] = 0
        d_hidden = generator.normal(size=hidden.shape)
        d_initial = network.backward(weights, tape, d_hidden, d_state, gradient, work)
        results |= {"gradient": gradient.vector} | {f"d_state {k}": array for k, array in enumerate(d_initial)}
        buffers |= {f"backward, {name}": arrays for name, arrays in work.items()}
    return results, {name for arrays in buffers.values() for name in arrays._memory}


@pytest.mark.skipif("compiled" not in ENGINES, reason="no kernels run here")
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("keeps_tape", [False, True])
@pytest.mark.parametrize("lengths", [(9, 9, 9), (9, 7, 2), (1,), (0, 0)], ids=str)
def test_layers_give_in_place_what_they_give_over_copies(cell, keeps_tape, lengths, monkeypatch):
    options = {"sizes": (5, 4), "readout": "mean", "bidirectional": True, "engine": "compiled"}
    in_place, names = pass_results(make_network(cell, **options), lengths, keeps_tape)
    monkeypatch.setattr(CompiledRecurrence, "in_place", None)
    copied, names_of_copies = pass_results(make_network(cell, **options), lengths, keeps_tape)
    for name, array in copied.items():
        if name != "gradient":
            assert_array_equal(in_place[name], array, err_msg=name)
    assert_near(in_place, copied, rtol=1e-12)
    copies = {"x", "h", "d_hidden", "d_x in time"} & names_of_copies
    assert {"x", "h"} <= copies
    assert copies & names == (set() if len(set(lengths)) == 1 else copies)
