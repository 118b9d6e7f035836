"""Problems for programs: sequences in all forms, targets of all kinds, and input that is wrong."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from hypothesis import strategies as st

from sklearn_rnn.preprocessing import to_object_column
from sklearn_rnn.utils._sequence_checks.data import object_array, random_sequences

# One problem: everything in it follows from these few numbers, so that a failing program is short.
Problem = namedtuple("Problem", "kind lengths n_features form dtype targets with_codes seed")

TARGETS = {
    "classifier": ("two", "three", "strings", "multilabel", "two", "one class"),
    "regressor": ("values", "two outputs", "counts", "constant"),
}


def strided(x):
    """The same values, with gaps between them in memory."""
    wide = np.full((2 * x.shape[0], 2 * x.shape[1]), 99, x.dtype)
    wide[::2, ::2] = x
    return wide[::2, ::2]


# Forms of sequences of any lengths, and of equal lengths.
RAGGED_FORMS = {
    "list": list,
    "tuple": tuple,
    "object array": object_array,
    "column": to_object_column,
    "nested lists": lambda X: [x.tolist() for x in X],
    "strided": lambda X: [strided(x) for x in X],
}
EQUAL_FORMS = {"array": np.stack, "Fortran array": lambda X: np.asfortranarray(np.stack(X))}
FORMS = RAGGED_FORMS | EQUAL_FORMS


@st.composite
def problems(draw, kind):
    """A problem of 1 to 8 sequences of 1 to 9 steps."""
    form = draw(st.sampled_from(list(FORMS)))
    if form in EQUAL_FORMS:
        lengths = (draw(st.integers(1, 9)),) * draw(st.integers(1, 8))
    else:
        lengths = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=8)))
    return Problem(
        kind,
        lengths,
        draw(st.integers(1, 3)),
        form,
        draw(st.sampled_from(["float64", "float32", "int64"])),
        draw(st.sampled_from(TARGETS[kind])),
        draw(st.booleans()),
        draw(st.integers(0, 3)),
    )


def sequences_of(problem):
    """Return the sequences as a list of arrays; with codes, the last feature has whole numbers from 0 to 4."""
    X = random_sequences(problem.lengths, problem.n_features, seed=problem.seed)
    for x in X:
        if problem.with_codes:
            x[:, -1] = np.rint(2 * x[:, -1]).clip(-2, 2) + 2
    return [x.astype(problem.dtype) for x in X]


def in_form(problem, sequences):
    return FORMS[problem.form](sequences)


def targets_of(problem, per_step):
    """Return a target for each sequence, or for each step."""
    lengths = np.array(problem.lengths)
    y = values_of(problem.targets, lengths.sum() if per_step else len(lengths), np.random.default_rng(problem.seed + 9))
    return np.split(y, np.cumsum(lengths)[:-1]) if per_step else y


def values_of(targets, n, generator):
    if targets in ("two", "three", "strings"):
        numbers = np.arange(n) % (3 if targets != "two" else 2)
        return np.array(["a", "b", "c"])[numbers] if targets == "strings" else numbers
    if targets == "multilabel":
        return np.column_stack([np.arange(n) % 2, (np.arange(n) + 1) % 2, np.arange(n) % 3 == 0]).astype(int)
    if targets == "one class":
        return np.ones(n, int)
    if targets == "two outputs":
        return generator.normal(size=(n, 2))
    return {"values": generator.normal(size=n), "counts": generator.poisson(2, n), "constant": np.ones(n)}[targets]


# ---- Wrong input -------------------------------------------------------------------------------------


def replaced(X, value):
    """A list in which the first sequence has another value."""
    X = [np.array(x, dtype=np.result_type(np.asarray(x), np.asarray(value))) for x in X]
    X[0][-1, 0] = value
    return X


# Each gets sequences as a list of arrays. What is wrong for one estimator may be right for another: every call either
# works, or is refused as all bad input is.
ODD_X = {
    "NaN": lambda X: replaced(X, np.nan),
    "infinity": lambda X: replaced(X, -np.inf),
    "complex": lambda X: replaced(X, 1j),
    "a large integer": lambda X: [[[10**400] * x.shape[1]] for x in X],
    "a large number": lambda X: replaced(X, 1e300),
    "empty": lambda X: [],
    "an empty sequence": lambda X: [*X[:-1], X[-1][:0]],
    "another number of features": lambda X: [np.column_stack([x, x]) for x in X],
    "one sequence of other features": lambda X: [*X[:-1], np.column_stack([X[-1], X[-1]])],
    "no feature": lambda X: [x[:, :0] for x in X],
    "strings": lambda X: [np.full(x.shape, "word") for x in X],
    "tokens": lambda X: [["a"] * len(x) for x in X],
    "objects": lambda X: [np.full(x.shape, object(), dtype=object) for x in X],
    "None in a sequence": lambda X: [np.full(x.shape, None, dtype=object) for x in X],
    "None": lambda X: None,
    "a number": lambda X: 3.0,
    "a 0-d array": lambda X: np.array(1.0),
    "a dict": lambda X: dict(enumerate(X)),
    "a generator": lambda X: (x for x in X),
    "4-D": lambda X: np.zeros((len(X), 2, X[0].shape[1], 2)),
    "1-D": lambda X: X[0][:, 0],
    "bytes": lambda X: b"sequences",
    "Booleans": lambda X: [x > 0 for x in X],
    "masked": lambda X: [np.ma.masked_greater(x, 0) for x in X],
    "dates": lambda X: [x.astype("int64").astype("datetime64[D]") for x in X],
}
ODD_Y = {
    "None": lambda y: None,
    "too short": lambda y: y[:-1],
    "twice": lambda y: [*y, *y],
    "a number": lambda y: 1,
    "a 0-d array": lambda y: np.array(1),
    "NaN": lambda y: [*y[:-1], np.nan],
    "infinity": lambda y: [*y[:-1], np.inf],
    "a large integer": lambda y: [10**400] * len(y),
    "a large number": lambda y: [1e300, *y[1:]],
    "several types": lambda y: object_array(["a", *[1] * (len(y) - 1)]),
    "negative": lambda y: [-1.5] * len(y),
    "strings": lambda y: ["x", *["y"] * (len(y) - 1)],
    "None inside": lambda y: [None, *y[1:]],
    "complex": lambda y: [1j] * len(y),
    "3-D": lambda y: np.zeros((len(y), 2, 2)),
    "objects": lambda y: [object()] * len(y),
    "a dict": lambda y: dict(enumerate(y)),
    "empty": lambda y: [],
}
ODD_WEIGHTS = {
    "zeros": lambda n: np.zeros(n),
    "some zeros": lambda n: np.arange(n) % 2.0,
    "negative": lambda n: -np.ones(n),
    "NaN": lambda n: np.full(n, np.nan),
    "infinity": lambda n: np.full(n, np.inf),
    "too many": lambda n: np.ones(n + 1),
    "2-D": lambda n: np.ones((n, 2)),
    "strings": lambda n: ["heavy"] * n,
    "large integers": lambda n: [10**400] * n,
    "large": lambda n: np.full(n, 1e308),
    "tiny": lambda n: np.full(n, 1e-310),
    "a number": lambda n: 2.0,
    "a dict": lambda n: {0: 1.0},
}
ODD_CLASSES = (
    [],
    None,
    [0, 1],
    ["a", "b", "c"],
    [[0], [1]],
    [np.nan, 1.0],
    [0, "a"],
    3,
    np.array(0),
    [1, 1],
    [object()],
)
ODD_STEPS = (None, [], np.nan, [np.inf], [[[[0.0]]]], "x", [1.0, 2.0, 3.0, 4.0], np.array(1.0), [10**400], [[None]], {})
ODD_ROWS = (None, 0, -1, [0], [99], [True], [0.5], "x", [[0]], [], np.array(0), 10**30, [None])
ODD_NUMBERS = (0, -1, 2, 1.5, "x", None, True, 10**30, np.int64(1), [1])
