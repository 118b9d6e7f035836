"""Training is all or nothing: an exception at any line of a call leaves the estimator as it was, or as it should be.

A trace function raises at one executed line of ``fit`` or ``partial_fit``. The tests try every 23rd of the
package's lines, and fewer of those in the libraries that it calls; ``benchmarks/interrupts.py`` tries all of them, and
real signals.
"""

import contextlib
import copyreg
import gc
import hashlib
import itertools
import linecache
import multiprocessing
import pickle
import struct
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from helpers import PLAIN, make_sequences
from numpy.testing import assert_array_equal
from sklearn import config_context

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNRegressor

EXCEPTIONS = {"KeyboardInterrupt": KeyboardInterrupt, "MemoryError": MemoryError}
INTERRUPTED = "Training interrupted by user."
PACKAGE = str(Path(sklearn_rnn.__file__).parent)

# Lines from one try to the next: among the package's own with those of its context managers, and among all. The first
# is the number of cases, so that each begins at another remainder.
STRIDES = {"package": 23, "everywhere": 401}

# ---- The fingerprint of an estimator -------------------------------------------------------------------


def fingerprint(value):
    """A hash of all parts of a value, bit for bit; equal for copies, in any order of their attributes."""
    return hashlib.sha256(_content(value, ())).hexdigest()


def _content(value, holders):
    """Bytes of a value; ``holders`` are the ids of the objects that it is in, so that none is entered twice."""
    parts = [type(value).__qualname__.encode()]
    if id(value) in holders:
        return _joined([*parts, b"holder", str(len(holders) - holders.index(id(value))).encode()])
    holders = (*holders, id(value))
    if isinstance(value, np.ndarray):
        parts += [value.dtype.str.encode(), str(value.shape).encode()]
        parts += [_content(value.tolist(), holders)] if value.dtype.hasobject else [value.tobytes()]
    elif isinstance(value, np.generic):
        parts += [value.dtype.str.encode(), value.tobytes()]
    elif isinstance(value, float):
        parts.append(struct.pack("<d", value))
    elif value is None or isinstance(value, (bool, int, complex, str, bytes)):
        parts.append(repr(value).encode())
    elif isinstance(value, (list, tuple)):
        parts += [_content(item, holders) for item in value]
    elif isinstance(value, (set, frozenset)):
        parts += sorted(_content(item, holders) for item in value)
    elif isinstance(value, dict):
        parts += sorted(_joined([_content(key, holders), _content(item, holders)]) for key, item in value.items())
    elif isinstance(value, np.random.RandomState):
        parts.append(_content(value.get_state(legacy=False), holders))
    else:
        parts += _parts_of_object(value, holders)
    return _joined(parts)


def _joined(parts):
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])


def _parts_of_object(value, holders):
    """The content of a pickle: a name, or the parts to make the object again, without its cached properties."""
    if hasattr(value, "__qualname__"):  # classes and functions
        return [value.__module__.encode(), value.__qualname__.encode()]
    reducer = copyreg.dispatch_table.get(type(value))
    reduced = reducer(value) if reducer else value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return [reduced.encode()]
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if isinstance(state, dict):
        state = {name: item for name, item in state.items() if not _is_cached(value, name)}
    contents = (make, arguments, state, list(items or ()), list(pairs or ()))
    return [_content(content, holders) for content in contents]


def _is_cached(value, name):
    return isinstance(name, str) and isinstance(getattr(type(value), name, None), cached_property)


# ---- Calls, and an exception at one of their lines -----------------------------------------------------


class Outcome(NamedTuple):
    """How a call ended."""

    error: BaseException | None  # raised to the caller
    messages: list  # messages of its warnings
    n_lines: int  # number of executed lines
    place: str  # file, line and function where the exception was raised


def traced(call, line=np.inf, exception=None, where="everywhere"):
    """Call, and raise the exception at a line, counted from 1, or at the next one that allows it.

    ``where`` says which lines count: "everywhere" all that Python executes, "package" those of the package, and of
    contextlib, which its context managers go through.
    """
    n_lines, place, error = 0, "", None

    def trace_call(frame, *_):
        file = frame.f_code.co_filename
        return trace if where == "everywhere" or file.startswith(PACKAGE) or file == contextlib.__file__ else None

    def trace(frame, event, _):
        nonlocal n_lines, place
        if event == "line":
            n_lines += 1
            if n_lines >= line and not leaves_context(frame):
                place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
                raise exception
        return trace

    before = sys.gettrace()
    with quiet() as caught:
        sys.settrace(trace_call)
        try:
            call()
        except (Exception, KeyboardInterrupt) as raised:
            error = raised
        finally:
            sys.settrace(before)
    return Outcome(error, [str(warning.message) for warning in caught], n_lines, place)


def leaves_context(frame):
    """Whether a line is that of a ``with`` statement whose body has ended.

    An exception there would skip ``__exit__``: a lock would stay locked for ever. Nothing can raise there but a trace
    function: Python looks for signals again when ``__exit__`` has begun, or is over where it is in C.
    """
    file, number = frame.f_code.co_filename, frame.f_lineno
    is_with = linecache.getline(file, number).lstrip().startswith(("with ", "async with "))
    return is_with and frame.f_lasti > min(start for start, _, line in frame.f_code.co_lines() if line == number)


class quiet:  # noqa: N801
    """Records warnings; takes back what an exception may leave behind outside of the estimator.

    Garbage is left alone: it is collected at any time, and an exception in a finalizer reaches nobody.
    """

    def __enter__(self):
        self._contexts = [warnings.catch_warnings(record=True), np.errstate(), config_context()]
        caught, *_ = [context.__enter__() for context in self._contexts]
        warnings.simplefilter("always")
        self._hook, self._collects = sys.unraisablehook, gc.isenabled()
        sys.unraisablehook = lambda _: None
        gc.disable()
        return caught

    def __exit__(self, *_):
        sys.unraisablehook = self._hook
        if self._collects:
            gc.enable()
        for context in reversed(self._contexts):
            context.__exit__(None, None, None)


# ---- Cases ---------------------------------------------------------------------------------------------

SETTINGS = PLAIN | {"hidden_layer_sizes": (2,), "max_iter": 2, "learning_rate_init": 0.05}
X = make_sequences((2, 1, 3, 2))
X_EACH = np.stack(make_sequences((6, 6, 6)))
TARGETS = np.array([0.5, 1.0, -0.5, 2.0])
TARGETS_EACH = X_EACH[:, :, 0] - X_EACH[:, :, 1]
LABELS = np.array(["b", "a", "b", "c"])
X_LONG = make_sequences((2, 1, 3, 2, 1, 2, 3, 2))
LABELS_LONG = np.array(["b", "a", "b", "a", "a", "a", "b", "b"])


def regressor(**settings):
    return RNNRegressor(**SETTINGS | settings)


def classifier(**settings):
    return RNNClassifier(**SETTINGS | settings)


@dataclass(frozen=True)
class Case:
    """A call of an estimator's method.

    Attributes
    ----------
    estimator : estimator
        Not fitted.
    method : {"fit", "partial_fit"}
    arguments : tuple
    options : dict
        Further arguments, by name.
    n_before : int
        How often the method has been called before.
    n_trained : int
        Sequences that an epoch trains on.
    has_one_update : bool
        Whether an epoch is one update, so that the possible weights are known.
    """

    estimator: object
    method: str
    arguments: tuple
    options: dict = field(default_factory=dict)
    n_before: int = 0
    n_trained: int = 4
    has_one_update: bool = True

    def begin(self):
        """The estimator before the call; it began with other start values than a cold fit does."""
        estimator = deepcopy(self.estimator).set_params(random_state=1)
        with quiet():
            for _ in range(self.n_before):
                self.call(estimator)()
        return estimator.set_params(random_state=self.estimator.random_state)

    def call(self, estimator, method=None):
        """The call, prepared completely."""
        method = getattr(estimator, method or self.method)
        arguments, options = self.arguments, self.options
        if method.__name__ == "fit":
            options = {name: value for name, value in options.items() if name not in ("classes", "new_sequence")}
        elif "X_val" in options:
            options = {}
        return _Bound(method, arguments, options).call

    def whole_updates(self):
        """The weights before the call, and after each of its updates; None where they are not known."""
        if not self.has_one_update:
            return None
        estimator = self.begin()
        no_update = GOOD_START if estimator.solver == "lbfgs" else NO_UPDATE
        possible = {weights_of(estimator)} if self.n_before else set()
        if self.method == "partial_fit":
            changes = [{}] if self.n_before else [{}, no_update]
        else:
            changes = [no_update] + [{"max_iter": n + 1} for n in range(SETTINGS["max_iter"])]
        for change in changes:
            trained = deepcopy(estimator).set_params(**change)
            with quiet():
                self.call(trained)()
            possible.add(weights_of(trained))
        return possible


# Settings that keep the start values: a step that is too small for float64; for L-BFGS, a very large tolerance.
NO_UPDATE = {"solver": "sgd", "learning_rate_init": 1e-300, "clip_norm": 1e-30, "max_iter": 1}
GOOD_START = {"tol": 1e300}


class _Bound:
    """A method and its arguments, without a Python frame more than need be between the trace and the method."""

    def __init__(self, method, arguments, options):
        self.call = lambda: method(*arguments, **options)


def weights_of(estimator):
    return b"".join(weights.tobytes() for weights in estimator.weights_.values())


def smallest_budget(estimator, sequences):
    return int(estimator.memory_estimate(sequences).smallest)


EACH = regressor(readout="each", truncation=2)
STATEFUL = {"readout": "each", "truncation": 3, "stateful": True}
CLASSES = {"classes": np.unique(LABELS)}
NEW_SEQUENCE = {"new_sequence": np.array([True, False, False])}
LONG = regressor(readout="each", cell="lstm")
# An update goes to the coordinates of training and back: it changes bits of the weights, however small its step is.
SCALED = {"normalize_readout": True, "readout": ("last", "max"), "bidirectional": True}
BUDGETED = LONG.set_params(memory_budget=smallest_budget(LONG, X_EACH))

CASES = {
    "first fit, gru": Case(regressor(), "fit", (X, TARGETS)),
    "first fit, lstm": Case(classifier(cell="lstm"), "fit", (X, LABELS)),
    "cold fit, gru": Case(classifier(), "fit", (X, LABELS), n_before=1),
    "cold fit, lstm": Case(regressor(cell="lstm"), "fit", (X, TARGETS), n_before=1),
    "warm fit, gru": Case(regressor(warm_start=True), "fit", (X, TARGETS), n_before=1),
    "warm fit, sgd": Case(classifier(warm_start=True, solver="sgd"), "fit", (X, LABELS), n_before=1),
    "first partial_fit": Case(classifier(), "partial_fit", (X, LABELS), CLASSES),
    "partial_fit, gru": Case(regressor(), "partial_fit", (X, TARGETS), n_before=2),
    "partial_fit, lstm": Case(classifier(cell="lstm", solver="rmsprop"), "partial_fit", (X, LABELS), CLASSES, 1),
    "stateful, first chunk": Case(
        regressor(**STATEFUL), "partial_fit", (X_EACH, TARGETS_EACH), n_trained=3, has_one_update=False
    ),
    "stateful, gru": Case(
        regressor(**STATEFUL), "partial_fit", (X_EACH, TARGETS_EACH), {}, 1, n_trained=3, has_one_update=False
    ),
    "stateful, new sequence": Case(
        regressor(**STATEFUL, cell="lstm"),
        "partial_fit",
        (X_EACH, TARGETS_EACH),
        NEW_SEQUENCE,
        n_before=1,
        n_trained=3,
        has_one_update=False,
    ),
    "held out": Case(
        classifier(early_stopping=True, validation_fraction=0.4), "fit", (X_LONG, LABELS_LONG), n_trained=4
    ),
    "X_val": Case(
        regressor(early_stopping=True), "fit", (X, TARGETS), {"X_val": X[:2], "y_val": TARGETS[:2]}, n_before=1
    ),
    "scaled readout": Case(regressor(**SCALED), "fit", (X, TARGETS), has_one_update=False),
    "scaled readout, warm fit": Case(
        classifier(**SCALED, warm_start=True, patch_size=3, patch_stride=2),
        "fit",
        (X, LABELS),
        n_before=1,
        has_one_update=False,
    ),
    "scaled readout, L-BFGS": Case(
        regressor(**SCALED, solver="lbfgs"), "fit", (X, TARGETS), n_before=1, has_one_update=False
    ),
    "L-BFGS": Case(regressor(solver="lbfgs"), "fit", (X, TARGETS), n_before=1),
    "budget": Case(BUDGETED, "fit", (X_EACH, TARGETS_EACH), n_trained=3),
    "truncated": Case(EACH, "fit", (X_EACH, TARGETS_EACH), n_trained=3, has_one_update=False),
    "truncation auto": Case(
        regressor(readout="each", truncation="auto"),
        "partial_fit",
        (X_EACH, TARGETS_EACH),
        n_before=1,
        n_trained=3,
        has_one_update=False,
    ),
    "batches, dropout": Case(
        classifier(hidden_layer_sizes=(2, 2), dropout=0.5, batch_size=2), "fit", (X, LABELS), has_one_update=False
    ),
    "diverging": Case(
        regressor(solver="sgd", learning_rate_init=1e200, clip_norm=None, activation="identity", cell="rnn"),
        "fit",
        (X, TARGETS),
        n_before=1,
    ),
}


# ---- What an exception leaves --------------------------------------------------------------------------


class Judge:
    """Tells in which correct state an estimator is (unchanged, completed or kept), or the contradiction in it."""

    def __init__(self, case, before, knows_weights=True):
        self.case = case
        self.before = fingerprint(vars(before))
        self._attributes = {name: fingerprint(value) for name, value in vars(before).items()}
        self._possible_weights = case.whole_updates() if knows_weights else None
        completed = deepcopy(before)
        with quiet():
            case.call(completed)()
        self.completed = fingerprint(vars(completed))
        self._kept = {}  # verdicts on earlier states: most lines lead to one of few states

    def verdict(self, estimator, outcome):
        """One word for a correct state; a longer text for any other state."""
        state = fingerprint(vars(estimator))
        if outcome.error is None and INTERRUPTED in outcome.messages:
            if state not in self._kept:
                self._kept[state] = inconsistency(self.case, estimator, self._possible_weights) or "kept"
            return self._kept[state]
        if state == self.completed:
            return "completed"
        if state == self.before and outcome.error is not None:
            return "unchanged"
        ended = "returned" if outcome.error is None else "raised"
        return f"{ended}, and changed {', '.join(self._changed(estimator)) or 'nothing'}"

    def _changed(self, estimator):
        """Names of the attributes that differ from those before the call, for the message."""
        old, new = self._attributes, {name: fingerprint(value) for name, value in vars(estimator).items()}
        return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def inconsistency(case, estimator, possible_weights):
    """The error in an estimator whose training was interrupted and kept; None if it is correct."""
    if problem := _disagreement(case, estimator):
        return problem
    if possible_weights and weights_of(estimator) not in possible_weights:
        return "weights of no whole update"
    sequences = case.arguments[0]
    copied = pickle.loads(pickle.dumps(estimator))
    if fingerprint(vars(copied)) != fingerprint(vars(estimator)):
        return "another estimator once pickled"
    if fingerprint(copied.predict(sequences)) != fingerprint(estimator.predict(sequences)):
        return "other predictions once pickled"
    methods = ("partial_fit", "fit") if hasattr(estimator, "partial_fit") else ("fit",)
    for method in methods:
        continued, copied_too = (deepcopy(one).set_params(warm_start=True) for one in (estimator, copied))
        with quiet():
            case.call(continued, method)()
            case.call(copied_too, method)()
        if fingerprint(vars(continued)) != fingerprint(vars(copied_too)):
            return f"another {method} once pickled"
        if problem := _disagreement(case, continued, is_continued=method):
            return f"after another {method}: {problem}"
    return None


def _disagreement(case, estimator, is_continued=None):
    """Names of fitted attributes that contradict each other."""
    n_epochs = estimator.n_iter_
    lengths = {name: len(getattr(estimator, name)) for name in ("loss_curve_", "gradient_norms_")}
    if is_continued != "partial_fit" and ("X_val" in case.options or estimator.early_stopping):
        for name in ("validation_scores_", "validation_loss_curve_"):
            lengths[name] = len(getattr(estimator, name) or [])
    for name, length in lengths.items():
        if length != n_epochs:
            return f"{name} has {length} entries after {n_epochs} epochs"
    if estimator.t_ != n_epochs * case.n_trained:
        return f"t_ is {estimator.t_} after {n_epochs} epochs of {case.n_trained} sequences"
    for name, expected in _figures_of_curves(estimator, is_continued):
        figure = getattr(estimator, name)
        if fingerprint(figure) != fingerprint(expected):
            return f"{name} is {figure}, but by the curves it is {expected}"
    if not all(np.isfinite(weights).all() for weights in estimator.weights_.values()):
        return "weights are not finite"
    return None


def _figures_of_curves(estimator, is_continued):
    """Yield names and correct values of attributes that summarize a curve; the best score is of one call."""
    losses = estimator.loss_curve_
    if losses:
        yield "loss_", losses[-1]
        if not estimator.early_stopping:
            yield "best_loss_", min(losses)
    if estimator.early_stopping and estimator.validation_scores_ and not is_continued:
        yield "best_validation_score_", max(estimator.validation_scores_)


class Try(NamedTuple):
    """One line at which an exception was raised."""

    line: int
    outcome: Outcome
    verdict: str

    @property
    def is_wrong(self):
        return self.verdict not in ("unchanged", "completed", "kept")


def count_lines(case, before, where="everywhere"):
    """The number of lines that the call executes, after everything that happens only once in a process."""
    with quiet():
        case.call(deepcopy(before))()
    return traced(case.call(deepcopy(before)), where=where).n_lines


def tries(name, exception_names, first=1, stride=1, where="everywhere"):
    """Raise at every ``stride``-th line of a case from ``first`` on, in a fresh copy; yield a Try for each.

    The exceptions take turns.
    """
    case = CASES[name]
    before = case.begin()
    judge = Judge(case, before)
    lines = range(first, count_lines(case, before, where) + 1, stride)
    for line, exception_name in zip(lines, itertools.cycle(exception_names)):
        estimator = deepcopy(before)
        outcome = traced(case.call(estimator), line, EXCEPTIONS[exception_name](f"line {line}"), where)
        yield Try(line, outcome, judge.verdict(estimator, outcome))


def wrong_tries(*arguments):
    """The number of tried lines, the number of raised exceptions, and a line of text for each wrong state."""
    tried = list(tries(*arguments))
    wrong = [f"line {one.line}, {one.outcome.place}: {one.verdict}" for one in tried if one.is_wrong]
    return len(tried), sum(one.outcome.error is not None for one in tried), wrong


# ---- Tests ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process():
    """Calls a function in a process of its own: an exception may leave BLAS limited, or a lock held."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield lambda function, *arguments: executor.submit(function, *arguments).result()


@pytest.mark.parametrize("where", STRIDES)
@pytest.mark.parametrize("name", CASES)
def test_an_exception_leaves_the_estimator_unchanged_or_completed_or_as_training_keeps_it(process, name, where):
    # The cases begin at different remainders: together they reach all common lines.
    stride = STRIDES[where]
    first = 1 + list(CASES).index(name) * (1 + stride // len(CASES)) % stride
    n_tried, n_raised, wrong = process(wrong_tries, name, list(EXCEPTIONS), first, stride, where)
    assert n_tried > 10
    assert n_raised > 0
    assert not wrong, f"{len(wrong)} of {n_tried} lines:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("name", CASES)
def test_a_call_that_nothing_disturbs_leaves_the_same_state_each_time(name):
    case = CASES[name]
    before = case.begin()
    judge = Judge(case, before)
    outcome = traced(case.call(before), line=10**9, exception=MemoryError())
    assert outcome.error is None
    assert outcome.n_lines > 0
    assert judge.before != judge.completed
    assert judge.verdict(before, outcome) == "completed"
    assert inconsistency(case, before, case.whole_updates()) is None


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
def test_the_exception_comes_at_the_line_that_was_asked_for(line):
    done = []

    def inner():
        done.append(3)
        done.append(4)

    def outer():
        done.append(1)
        done.append(2)  # its line is executed first, then the call's
        inner()
        done.append(5)

    assert traced(outer).n_lines == 6
    done.clear()
    error = MemoryError("here")
    outcome = traced(outer, line, error)
    assert outcome.error is error
    assert done == [1, 2, 3, 4][: line - 1 - (line > 3)]
    assert outcome.place.endswith("inner" if line in (4, 5) else "outer")


def test_an_exception_that_nobody_hears_of_does_not_count():
    class Finalized:
        def __del__(self):
            self.is_finalized = True

    def call():
        Finalized()

    assert traced(call, 2, MemoryError()).error is None


def test_tracing_and_warnings_are_as_before_after_an_exception():
    before = sys.gettrace(), list(warnings.filters), gc.isenabled(), sys.unraisablehook
    traced(CASES["first fit, gru"].call(regressor()), 100, KeyboardInterrupt())
    assert (sys.gettrace(), list(warnings.filters), gc.isenabled(), sys.unraisablehook) == before


@pytest.mark.parametrize("name", ["cold fit, gru", "stateful, new sequence", "L-BFGS"])
def test_the_fingerprint_is_that_of_copies(name):
    estimator = CASES[name].begin()
    expected = fingerprint(vars(estimator))
    assert fingerprint(vars(estimator)) == expected
    assert fingerprint(vars(deepcopy(estimator))) == expected
    assert fingerprint(vars(pickle.loads(pickle.dumps(estimator)))) == expected
    assert fingerprint(dict(reversed(vars(estimator).items()))) == expected


@pytest.mark.parametrize("name", ["cold fit, gru", "stateful, new sequence", "L-BFGS"])
def test_one_bit_of_one_weight_changes_the_fingerprint(name):
    estimator = CASES[name].begin()
    before = fingerprint(vars(estimator))
    for weights in estimator.weights_.values():
        weight = weights.reshape(-1)[-1:]
        assert np.shares_memory(weight, weights)
        bits = weight.view(f"u{weight.itemsize}")
        bits ^= 1
        assert fingerprint(vars(estimator)) != before
        bits ^= 1
    assert fingerprint(vars(estimator)) == before


def test_a_random_number_drawn_changes_the_fingerprint():
    state = np.random.RandomState(0)
    before = fingerprint({"state": state})
    assert fingerprint({"state": np.random.RandomState(0)}) == before
    state.randint(2)
    assert fingerprint({"state": state}) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        ([[1], 2], [[1, 2]]),
        ({"a": 1}, {"a": 2}),
        ({"a": None}, {}),
        (np.zeros(2), np.zeros((1, 2))),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.float32(1), np.float64(1)),
        (np.array(["a", 1], object), np.array(["a", 2], object)),
        (len, sum),
        (regressor(), classifier()),
        (regressor(), regressor(alpha=0.5)),
    ],
)
def test_fingerprints_differ(one, other):
    assert fingerprint(one) == fingerprint(deepcopy(one))
    assert fingerprint(one) != fingerprint(other)


def test_the_fingerprint_is_blind_to_cached_properties_alone():
    before, after = Cached(), Cached()
    assert after.twice == 2
    assert fingerprint(before) == fingerprint(after)
    after.value = 3
    assert fingerprint(before) != fingerprint(after)


def test_an_object_that_holds_itself_has_a_fingerprint():
    one, other, third = [1], [1], [2]
    for value in (one, other, third):
        value.append(value)
    assert fingerprint(one) == fingerprint(other) != fingerprint(third)


class Cached:
    def __init__(self):
        self.value = 1

    @cached_property
    def twice(self):
        return 2 * self.value


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.has_one_update])
def test_the_weights_of_whole_updates_are_those_before_and_after_the_call(name):
    case = CASES[name]
    estimator = case.begin()
    possible = case.whole_updates()
    assert not case.n_before or weights_of(estimator) in possible
    with quiet():
        case.call(estimator)()
    assert weights_of(estimator) in possible
    assert 2 <= len(possible) <= 2 + SETTINGS["max_iter"]


def test_a_fit_that_makes_no_update_keeps_the_start_values():
    with quiet():
        start = regressor(**NO_UPDATE).fit(X, TARGETS)
        longer = regressor(**NO_UPDATE | {"max_iter": 9}).fit(X, TARGETS)
        lbfgs = regressor(solver="lbfgs", **GOOD_START).fit(X, TARGETS)
    assert not start.weights_["readout.bias"].any()
    assert weights_of(start) == weights_of(longer) == weights_of(lbfgs)


def test_states_that_contradict_themselves_are_found():
    case = CASES["cold fit, gru"]
    estimator = case.begin()
    possible = {weights_of(estimator)}
    assert inconsistency(case, estimator, possible) is None
    broken = deepcopy(estimator)
    broken.loss_curve_ = broken.loss_curve_[:-1]
    assert inconsistency(case, broken, possible) == "loss_curve_ has 1 entries after 2 epochs"
    broken = deepcopy(estimator)
    broken.best_loss_ = 9.0
    assert inconsistency(case, broken, possible).startswith("best_loss_ is 9.0, but by the curves it is ")
    broken = deepcopy(estimator)
    broken.t_ += 1
    assert "t_ is 9" in inconsistency(case, broken, possible)
    broken = deepcopy(estimator)
    next(iter(broken.weights_.values()))[...] = np.nan
    assert inconsistency(case, broken, None) == "weights are not finite"
    broken = deepcopy(estimator)
    next(iter(broken.weights_.values()))[...] *= 2
    assert inconsistency(case, broken, possible) == "weights of no whole update"
    assert_array_equal(estimator.predict(X), case.begin().predict(X))
