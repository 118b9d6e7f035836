"""Programs over the public API, drawn at random, and what must hold after each call.

A program makes an estimator with some parameters, and a problem. Then it calls methods with the data of the problem, in
any order, also with wrong input and wrong parameters. After each call:

* it has returned, or raised a ValueError, TypeError, AttributeError or NotFittedError that names an argument or a
  parameter, and the estimator is unchanged to the bit;
* a fit with other ``n_jobs`` or another ``memory_budget`` has the same bits;
* predictions of the fitted estimator have the same bits for other ``n_jobs``, for each sequence alone, step by step in
  a stream, after a pickle, and after ``save`` and ``load``.

Without kernels, BLAS may round a sequence otherwise in another batch: there, and only there, equal means within 1e-9.
"""

from __future__ import annotations

import inspect
import os
import pickle
import re
import tempfile
import warnings
from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from numpy.testing import assert_allclose, assert_array_equal
from parameters import SMALL, pairs_of
from problems import (
    ODD_CLASSES,
    ODD_NUMBERS,
    ODD_ROWS,
    ODD_STEPS,
    ODD_WEIGHTS,
    ODD_X,
    ODD_Y,
    in_form,
    problems,
    sequences_of,
    targets_of,
)
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._network import kernels
from sklearn_rnn.inspection import attribute
from sklearn_rnn.utils._sequence_checks.comparisons import outputs

CLASSES = {"classifier": RNNClassifier, "regressor": RNNRegressor}
PAIRS = {kind: pairs_of(cls) for kind, cls in CLASSES.items()}
# With these sizes, small problems too have work for threads, and segments that are run again.
SMALL_BLOCKS = {"SMALLEST_BLOCK": 2, "USUAL_BLOCK": 2, "LARGEST_BLOCK": 4}
SMALL_BLOCKS |= dict.fromkeys(["SMALLEST_WORK", "SMALLEST_TRAINING", "SMALLEST_SHARED_TRAINING"], 1)
SMALL_SEGMENTS = {"SEGMENT_VALUES": 1, "SMALLEST_SEGMENT": 2}
REFUSALS = (ValueError, TypeError, AttributeError)  # NotFittedError is the first two
METHODS = ("fit", "partial_fit", "score", "predict", "reset_state", "stream", "hidden_states", "memory_estimate")

NAMES = {"x"}.union(
    *(inspect.signature(function).parameters for function in (attribute, sklearn_rnn.save)),
    *(cls().get_params() for cls in CLASSES.values()),
    *(inspect.signature(getattr(cls, name)).parameters for cls in CLASSES.values() for name in METHODS),
)
# Messages that check_estimator asks for.
OF_SCIKIT_LEARN = "Expected 2D array, got|Found array with|Complex data not supported|Unknown label type"
MISSING = object()  # what a refused call returns

# A program that fails is not made shorter: that takes minutes, and its calls are few and printed.
SETTINGS = settings(
    stateful_step_count=8,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
counts: Counter[str] = Counter()  # calls, and those that were refused, of all programs


def chosen(items):
    return st.sampled_from(sorted(items))


def state_of(estimator):
    """Everything in an estimator, bit for bit."""
    return pickle.dumps(estimator)


def names_an_argument(error):
    """Whether a message names an argument or a parameter."""
    if isinstance(error, AttributeError) and error.__cause__ is not None:
        error = error.__cause__  # available_if: its own message names the method alone
    if isinstance(error, NotFittedError) or re.match(OF_SCIKIT_LEARN, str(error)):
        return True
    return bool(NAMES & set(re.findall(r"\w+", str(error))))


def has_compiled_kernels(estimator):
    """Whether the promises of bits hold for predictions: see the architecture."""
    return kernels.name != "numpy" and estimator.activation != "identity"


class Programs(RuleBasedStateMachine):
    """The rules that all programs have; a subclass names the estimator."""

    kind = ""

    # ---- Beginning -------------------------------------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data):
        right, _ = PAIRS[self.kind]
        self.problem = data.draw(problems(self.kind), label="problem")
        chosen_pairs = data.draw(st.lists(st.sampled_from(right), max_size=6), label="parameters")
        self.estimator = CLASSES[self.kind](**SMALL | dict(chosen_pairs))
        self.sequences = sequences_of(self.problem)
        self.X = in_form(self.problem, self.sequences)
        self.fitted_to_problem = False
        self.surroundings = ExitStack()
        self.surroundings.enter_context(patch.multiple("sklearn_rnn._network.blocks", **SMALL_BLOCKS))
        self.surroundings.enter_context(patch.multiple("sklearn_rnn._training.memory.segments", **SMALL_SEGMENTS))
        self.surroundings.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)

    def teardown(self):
        if hasattr(self, "surroundings"):
            self.surroundings.close()
        counts["programs"] += 1

    @property
    def y(self):
        return targets_of(self.problem, per_step=isinstance(self.readout, str) and self.readout == "each")

    @property
    def readout(self):
        return self.estimator.readout

    def attempt(self, call, *arguments, of=None, **named):
        """Call; return the result, or MISSING if the call is refused as it should be."""
        counts["calls"] += 1
        of = self.estimator if of is None else of
        before = state_of(of)
        try:
            return call(*arguments, **named)
        except REFUSALS as error:
            counts["refused"] += 1
            if not names_an_argument(error):
                raise AssertionError(f"no argument is named: {type(error).__name__}: {error}") from error
            if state_of(of) != before:
                raise AssertionError(f"changed by {type(error).__name__}: {error}") from error
            return MISSING

    def assert_same_outputs(self, estimator, twin):
        """Compare two estimators that must not differ by a bit."""
        expected, actual = outputs(estimator, self.X), outputs(twin, self.X)
        assert actual.keys() == expected.keys()
        for name, values in expected.items():
            for a, b in zip(actual[name], values):
                assert_array_equal(a, b, err_msg=name)
        for name, weights in estimator.weights_.items():
            assert_array_equal(twin.weights_[name], weights, err_msg=name)

    def assert_alike(self, actual, expected):
        """Compare predictions that have the same bits with kernels."""
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape
        if actual.dtype.kind not in "fc":
            if has_compiled_kernels(self.estimator):
                assert_array_equal(actual, expected)
        elif has_compiled_kernels(self.estimator):
            assert_array_equal(actual, expected)
        else:
            tolerance = 1e-4 if actual.dtype == np.float32 else 1e-9
            assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)

    # ---- Training ------------------------------------------------------------------------------------

    @rule()
    def fit(self):
        if self.attempt(lambda: self.estimator.fit(self.X, self.y)) is not MISSING:
            self.fitted_to_problem = True

    @rule(name=st.sampled_from(["n_jobs", "memory_budget"]), n_jobs=st.integers(1, 3))
    def fit_twice(self, name, n_jobs):
        """Other threads or another budget give the same bits."""
        if name == "memory_budget" and self.estimator.bidirectional is not False:
            return  # "auto" depends on the budget
        first, second = clone(self.estimator), clone(self.estimator)
        second.set_params(**{name: n_jobs if name == "n_jobs" else 20_000})
        if self.attempt(first.fit, self.X, self.y, of=first) is MISSING:
            return
        if self.attempt(second.fit, self.X, self.y, of=second) is not MISSING:
            self.assert_same_outputs(first, second)

    @rule(classes=st.booleans(), new_sequence=st.sampled_from([None, True, False]))
    def partial_fit(self, classes, new_sequence):
        y = self.y
        named = {} if new_sequence is None else {"new_sequence": [new_sequence] * len(self.sequences)}
        if classes and self.kind == "classifier":
            flat = np.concatenate(y) if isinstance(y, list) else y
            named["classes"] = np.unique(flat) if flat.ndim == 1 else np.arange(flat.shape[1])
        if self.attempt(lambda: self.estimator.partial_fit(self.X, y, **named)) is not MISSING:
            self.fitted_to_problem = True

    @rule(
        method=st.sampled_from(["fit", "partial_fit", "score"]),
        X=st.none() | chosen(ODD_X),
        y=st.none() | chosen(ODD_Y),
        weights=st.none() | chosen(ODD_WEIGHTS),
        classes=st.none() | st.sampled_from(ODD_CLASSES),
    )
    def call_with_odd_data(self, method, X, y, weights, classes):
        odd_X = self.X if X is None else ODD_X[X](self.sequences)
        odd_y = self.y if y is None else ODD_Y[y](self.y)
        named = {} if weights is None else {"sample_weight": ODD_WEIGHTS[weights](len(self.sequences))}
        if method == "partial_fit" and self.kind == "classifier":
            named["classes"] = classes
        result = self.attempt(lambda: getattr(self.estimator, method)(odd_X, odd_y, **named))
        if result is not MISSING and method != "score":
            self.fitted_to_problem = X is None and self.can_predict()

    def can_predict(self):
        return self.attempt(lambda: self.estimator.predict(self.X)) is not MISSING

    @rule(data=st.data(), is_odd=st.sampled_from([False, False, True]))
    def set_params(self, data, is_odd):
        name, value = data.draw(st.sampled_from(PAIRS[self.kind][is_odd]), label="parameter")
        before = getattr(self.estimator, name)
        self.estimator.set_params(**{name: value})
        if is_odd:
            self.attempt(lambda: clone(self.estimator).fit(self.X, self.y))
            self.attempt(lambda: self.estimator.partial_fit(self.X, self.y))
            self.estimator.set_params(**{name: before})
            self.fitted_to_problem = self.fitted_to_problem and self.can_predict()

    @rule(rows=st.sampled_from(ODD_ROWS))
    def reset_state(self, rows):
        self.attempt(lambda: self.estimator.reset_state(rows))

    # ---- Predictions ---------------------------------------------------------------------------------

    @precondition(lambda self: self.fitted_to_problem)
    @rule(place=st.integers(0, 7))
    def predict_alone(self, place):
        """A sequence alone has the outputs that it has in the batch."""
        place %= len(self.sequences)
        alone = in_form(self.problem, self.sequences[place : place + 1])
        expected = outputs(self.estimator, self.X)
        for name, values in outputs(self.estimator, alone).items():
            assert len(expected[name]) == len(self.sequences)
            self.assert_alike(values[0], expected[name][place])

    @precondition(lambda self: self.fitted_to_problem)
    @rule(n_jobs=st.integers(1, 3))
    def predict_with_threads(self, n_jobs):
        twin = pickle.loads(pickle.dumps(self.estimator)).set_params(n_jobs=n_jobs)
        self.assert_same_outputs(self.estimator, twin)

    @rule(method=st.sampled_from(["predict", "predict_proba", "hidden_states", "memory_estimate"]), X=chosen(ODD_X))
    def predict_odd_data(self, method, X):
        if hasattr(self.estimator, method):
            self.attempt(lambda: getattr(self.estimator, method)(ODD_X[X](self.sequences)))

    @rule(way=st.sampled_from(["pickle", "save", "save with training"]))
    def store(self, way):
        """Pickles and files give the same bits, and continue."""
        if way == "pickle":
            copied = pickle.loads(pickle.dumps(self.estimator))
        else:
            copied = self.through_a_file(with_training=way != "save")
        if copied is not MISSING and self.fitted_to_problem:
            self.assert_same_outputs(self.estimator, copied)
            if way != "save":
                self.estimator = copied

    def through_a_file(self, with_training):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.npz")
            saved = self.attempt(lambda: sklearn_rnn.save(self.estimator, path, with_training=with_training))
            return MISSING if saved is MISSING else sklearn_rnn.load(path)

    @rule(method=st.sampled_from(["gradient", "occlusion", "none"]), output=st.sampled_from([None, 0, 99, "x"]))
    def explain(self, method, output):
        before = state_of(self.estimator)
        self.attempt(lambda: attribute(self.estimator, self.X, output, method=method))
        assert state_of(self.estimator) == before

    @precondition(lambda self: self.fitted_to_problem)
    @rule(
        cut=st.integers(1, 8),
        place=st.integers(0, 7),
        odd=st.none() | st.sampled_from(ODD_STEPS),
        precision=st.sampled_from([None, "int8"]),
    )
    def stream(self, cut, place, odd, precision):
        """Steps and chunks give the predictions of the whole sequence; wrong input does not change the stream."""
        stream = self.attempt(lambda: self.estimator.stream(precision=precision))
        if stream is MISSING or self.estimator.patch_size_ != 1:
            return
        sequence = self.sequences[place % len(self.sequences)]
        if precision is None:
            expected = np.asarray(self.estimator.predict([sequence])[0])
        elif has_compiled_kernels(self.estimator):
            expected = np.asarray(self.estimator.stream(precision=precision).predict([sequence])[0])
        else:
            return  # where NumPy rounds chunks and steps differently, integers of 8 bits may differ too
        each = self.estimator.predict([sequence[:1]])[0]
        predictions = []
        for step in sequence[:cut]:
            if odd is not None:
                self.attempt(lambda: pickle.loads(pickle.dumps(stream)).step(odd), of=stream)
            predictions.append(stream.step(step[np.newaxis])[0])
        rest = sequence[cut:]
        stream = pickle.loads(pickle.dumps(stream))
        if np.ndim(each) > np.ndim(predictions[0]):  # values per step
            predictions.extend(stream.predict([rest])[0] if len(rest) else [])
            self.assert_alike(predictions, expected)
        else:
            self.assert_alike(stream.predict([rest])[0] if len(rest) else predictions[-1], expected)

    @rule(n_sequences=st.sampled_from(ODD_NUMBERS), precision=st.sampled_from([None, "int8", "float16", 8, np.int8]))
    def stream_of_an_odd_number(self, n_sequences, precision):
        if not (isinstance(n_sequences, int) and n_sequences > 100):  # its state would fill the memory
            self.attempt(lambda: self.estimator.stream(n_sequences, precision))


class ClassifierPrograms(Programs):
    kind = "classifier"


class RegressorPrograms(Programs):
    kind = "regressor"
