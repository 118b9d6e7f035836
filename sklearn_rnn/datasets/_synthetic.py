"""Generators of the classic tasks that test the memory of a recurrent network."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_params

AT_LEAST_ONE = [Interval(Integral, 1, None, closed="left")]

# The columns of the temporal order problem: E, B, then a to d, then X and Y.
START, TRIGGER, FIRST_DISTRACTOR, FIRST_RELEVANT, N_SYMBOLS = 0, 1, 2, 6, 8

# Positions of the relevant symbols, by the number of these symbols: first and last step, both
# included, in percent of `n_steps` (Hochreiter and Schmidhuber 1997, tasks 6a and 6b).
RELEVANT_RANGES = {
    2: [(10, 20), (50, 60)],
    3: [(10, 20), (33, 43), (66, 76)],
}
MIN_TEMPORAL_ORDER_STEPS = 10  # with fewer, the first relevant symbol could be at step 0, the place of E

SINE_FREQUENCIES = (0.02, 0.1)  # cycles per step: periods of 50 to 10 steps
SINE_AMPLITUDES = (0.5, 1.5)


@validate_params(
    {
        "n_sequences": AT_LEAST_ONE,
        "n_steps": AT_LEAST_ONE,
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_adding_problem(n_sequences=1000, n_steps=50, *, random_state=None):
    """Generate the adding problem: add the two marked values (regression).

    Each step has a value, drawn uniformly from [0, 1), and a mark. The mark is 1 at two steps and 0
    at all others. One of these steps is in the first half of the sequence (its first
    ``n_steps // 2`` steps), the other in the second half. Each is drawn uniformly. The target is the
    sum of the two marked values.

    The constant prediction 1 has a mean squared error of 1/6, the variance of the target. A network
    with a smaller error remembers.

    Parameters
    ----------
    n_sequences : int, default=1000
        The number of sequences, at least 1.

    n_steps : int, default=50
        The number of steps of each sequence, at least 2. On average a network must remember the
        first marked value for 3/4 of them.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at each call.

    Returns
    -------
    X : ndarray of shape (n_sequences, n_steps, 2), float64
        The sequences; axis order is sequence, time, feature. ``X[:, :, 0]`` are the values and
        ``X[:, :, 1]`` the marks.

    y : ndarray of shape (n_sequences,), float64
        The sum of the two marked values of each sequence, in [0, 2).

    Raises
    ------
    ValueError
        If `n_steps` is 1, because then there is no step for one of the marks.

    Notes
    -----
    This is the usual form today: the values from 0 to 1 are added without scaling [2]_, and each
    half has one mark [3]_. The original, experiment 4 of [1]_, differs. There the values are in
    [-1, 1]. The length is drawn from T to T + T/10. One mark is in the first 10 steps, another one in
    the first T/2 - 1 steps. The first and the last step have the mark -1 (and the first value counts
    as 0 if it was marked). The target is scaled, 0.5 + (X1 + X2) / 4.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation
       9(8), 1735-1780. Section 5.4.
    .. [2] Q. V. Le, N. Jaitly and G. E. Hinton (2015). A simple way to initialize recurrent
       networks of rectified linear units. arXiv:1504.00941.
    .. [3] M. Arjovsky, A. Shah and Y. Bengio (2016). Unitary evolution recurrent neural networks.
       ICML. arXiv:1511.06464.

    Examples
    --------
    >>> from sklearn_rnn.datasets import make_adding_problem
    >>> X, y = make_adding_problem(n_sequences=3, n_steps=20, random_state=0)
    >>> X.shape, y.shape
    ((3, 20, 2), (3,))
    """
    if n_steps < 2:
        raise ValueError(
            f"n_steps={n_steps} leaves no step for one of the two marks, because each half of a "
            "sequence needs one: use n_steps=2 or more."
        )
    rng = check_random_state(random_state)
    values = rng.uniform(size=(n_sequences, n_steps))
    half = n_steps // 2
    marks = np.zeros((n_sequences, n_steps))
    sequences = np.arange(n_sequences)
    marks[sequences, rng.randint(half, size=n_sequences)] = 1.0
    marks[sequences, rng.randint(half, n_steps, size=n_sequences)] = 1.0
    return np.stack([values, marks], axis=2), (values * marks).sum(axis=1)


@validate_params(
    {
        "n_sequences": AT_LEAST_ONE,
        "n_steps": AT_LEAST_ONE,
        "n_relevant": [Options(Integral, set(RELEVANT_RANGES))],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_temporal_order(n_sequences=1000, n_steps=100, *, n_relevant=2, random_state=None):
    """Generate the temporal order problem: in which order did X and Y come? (classification).

    A sequence of symbols starts with E and ends with the trigger B. Two or three symbols between
    them are relevant: each is X or Y, with equal probability. They are far apart from one another.
    The other symbols are a, b, c and d, drawn uniformly. The class is the order of the relevant
    symbols. All positions and the length are drawn uniformly, both ends included. Steps are counted
    from 0. For ``n_steps=100`` the ranges are:

    ================  ===================  ===================
    ..                ``n_relevant=2``     ``n_relevant=3``
    ================  ===================  ===================
    length            100 to 110           100 to 110
    first relevant    10 to 20             10 to 20
    second relevant   50 to 60             33 to 43
    third relevant    none                 66 to 76
    classes           4                    8
    ================  ===================  ===================

    These are tasks 6a and 6b of [1]_. For any other `n_steps` the lengths and positions are these
    percentages of `n_steps`, rounded down.

    Parameters
    ----------
    n_sequences : int, default=1000
        The number of sequences, at least 1.

    n_steps : int, default=100
        The number of steps of the shortest sequences, at least 10. The longest sequences have
        ``n_steps + n_steps // 10`` steps.

    n_relevant : {2, 3}, default=2
        The number of relevant symbols in each sequence.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at each call.

    Returns
    -------
    X : list of n_sequences ndarrays of shape (n_steps_i, 8), float64
        The sequences, of unequal lengths; axis order is time, feature. Each step is one-hot: a
        single 1, in the column of its symbol. The columns are E, B, a, b, c, d, X, Y.

    y : ndarray of shape (n_sequences,), int64
        The class: the relevant symbols as a binary number, where X is 0 and Y is 1, first symbol
        first. With two symbols XX, XY, YX, YY are 0, 1, 2, 3 (Q, R, S, U in [1]_). With three
        symbols XXX, XXY, ..., YYY are 0 to 7 (Q, R, S, U, V, A, B, C).

    Raises
    ------
    ValueError
        If `n_steps` is less than 10, because then a relevant symbol could take the place of E.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation
       9(8), 1735-1780. Section 5.6.

    Examples
    --------
    >>> from sklearn_rnn.datasets import make_temporal_order
    >>> X, y = make_temporal_order(n_sequences=50, n_steps=30, random_state=0)
    >>> "".join("EBabcdXY"[column] for column in X[1].argmax(axis=1)), y[1].item()
    ('EcdcXbbddadaaccdYbadacddbdbdcabbB', 1)
    """
    if n_steps < MIN_TEMPORAL_ORDER_STEPS:
        raise ValueError(
            f"n_steps={n_steps} is too short for the temporal order problem: the first relevant "
            "symbol could be at step n_steps // 10 = 0, but this is the step of the start symbol E. "
            f"Use n_steps={MIN_TEMPORAL_ORDER_STEPS} or more."
        )
    rng = check_random_state(random_state)
    n_extra = n_steps // 10
    first, last = (np.array(RELEVANT_RANGES[n_relevant]) * n_steps // 100).T
    lengths = rng.randint(n_steps, n_steps + n_extra + 1, size=n_sequences)
    positions = rng.randint(first, last + 1, size=(n_sequences, n_relevant))
    is_second = rng.randint(2, size=(n_sequences, n_relevant), dtype=np.int64)  # X: 0, Y: 1

    symbols = rng.randint(FIRST_DISTRACTOR, FIRST_RELEVANT, size=(n_sequences, n_steps + n_extra))
    sequences = np.arange(n_sequences)
    symbols[:, 0] = START
    symbols[sequences, lengths - 1] = TRIGGER
    symbols[sequences[:, np.newaxis], positions] = FIRST_RELEVANT + is_second

    one_hot = np.eye(N_SYMBOLS)
    X = [one_hot[steps[:length]] for steps, length in zip(symbols, lengths, strict=True)]
    return X, is_second @ 2 ** np.arange(n_relevant, dtype=np.int64)[::-1]


@validate_params(
    {
        "n_sequences": AT_LEAST_ONE,
        "delay": AT_LEAST_ONE,
        "n_copied": AT_LEAST_ONE,
        "n_symbols": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_copy_memory(n_sequences=1000, delay=100, *, n_copied=10, n_symbols=8, random_state=None):
    """Generate the copying memory problem: repeat the first symbols (classification of each step).

    The first `n_copied` steps show symbols, drawn uniformly and independently. Then the input is
    blank. `delay` steps after the last symbol, the input is the delimiter. From the next step on, the
    network must repeat the symbols in their order, while the input is blank again. Before these
    steps the answer is blank. With ``n_copied=3`` and ``delay=4`` the steps are::

        input    s1  s2  s3  _   _   _   |   _   _   _
        answer   _   _   _   _   _   _   _   s1  s2  s3

    The target has one label per step, so use ``readout="each"``. With the default `n_copied` and
    `n_symbols` it is the task of [1]_, where `delay` is called T.

    A network without a memory answers blank, and then guesses. Its mean cross entropy is
    ``n_copied * log(n_symbols) / (delay + 2 * n_copied)`` per step. A network with a smaller cross
    entropy remembers.

    Parameters
    ----------
    n_sequences : int, default=1000
        The number of sequences, at least 1.

    delay : int, default=100
        Number of steps from the last symbol to the delimiter, at least 1. There are ``delay - 1``
        blanks between them. The network must remember each symbol for ``delay + n_copied`` steps.

    n_copied : int, default=10
        Number of symbols to remember, at least 1.

    n_symbols : int, default=8
        The number of different symbols, at least 2.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at each call.

    Returns
    -------
    X : ndarray of shape (n_sequences, delay + 2 * n_copied, n_symbols + 2), float64
        The sequences; axis order is sequence, time, feature. Each step is one-hot: a single 1, in
        the column of its symbol. The second-to-last column is the blank, the last the delimiter.

    y : ndarray of shape (n_sequences, delay + 2 * n_copied), int64
        The answer at each step: a symbol from 0 to ``n_symbols - 1``, or `n_symbols` for the blank.

    References
    ----------
    .. [1] M. Arjovsky, A. Shah and Y. Bengio (2016). Unitary evolution recurrent neural networks.
       ICML. arXiv:1511.06464. It follows S. Hochreiter and J. Schmidhuber (1997), Long short-term
       memory.

    Examples
    --------
    >>> from sklearn_rnn.datasets import make_copy_memory
    >>> X, y = make_copy_memory(n_sequences=1, delay=4, n_copied=3, random_state=0)
    >>> X.argmax(axis=2)
    array([[4, 7, 5, 8, 8, 8, 9, 8, 8, 8]])
    >>> y
    array([[8, 8, 8, 8, 8, 8, 8, 4, 7, 5]])
    """
    rng = check_random_state(random_state)
    n_steps = delay + 2 * n_copied
    blank, delimiter = n_symbols, n_symbols + 1
    copied = rng.randint(n_symbols, size=(n_sequences, n_copied), dtype=np.int64)

    shown = np.full((n_sequences, n_steps), blank, dtype=np.int64)
    shown[:, :n_copied] = copied
    shown[:, n_copied + delay - 1] = delimiter
    y = np.full((n_sequences, n_steps), blank, dtype=np.int64)
    y[:, -n_copied:] = copied
    return np.eye(n_symbols + 2)[shown], y


@validate_params(
    {
        "n_sequences": AT_LEAST_ONE,
        "n_steps": AT_LEAST_ONE,
        "horizon": AT_LEAST_ONE,
        "noise": [Interval(Real, 0, None, closed="left")],
        "readout": [StrOptions({"last", "each"})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_noisy_sines(n_sequences=1000, n_steps=50, *, horizon=1, noise=0.3, readout="last", random_state=None):
    """Generate noisy sine waves: what are the next values? (regression).

    Each sequence is a different wave, ``s(t) = A * sin(2 * pi * f * t + p)``. The amplitude A is
    uniform in [0.5, 1.5), the frequency f is uniform in [0.02, 0.1) cycles per step (periods of 10 to
    50 steps), and the phase p is uniform in [0, 2 pi). The input is ``x(t) = s(t) + noise * e(t)`` at
    the steps ``t = 0, ..., n_steps - 1``, with e(t) standard normal and independent. The targets are
    the next values of the wave without noise. To predict them, a network must average the noise and
    remember the phase.

    The constant prediction 0 has a mean squared error of 13/24, about 0.54. With the same
    `random_state` the waves are the same for any `n_steps`, `horizon`, `noise` and `readout`.

    Parameters
    ----------
    n_sequences : int, default=1000
        The number of sequences, at least 1.

    n_steps : int, default=50
        The number of steps of each sequence, at least 1.

    horizon : int, default=1
        The number of steps to predict, at least 1. The targets are the next `horizon` values of the
        wave.

    noise : float, default=0.3
        The standard deviation of the noise, at least 0.

    readout : {"last", "each"}, default="last"
        Whether there are targets after the last step only, or after each step. The estimators that
        learn from such targets have a parameter of the same name.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at each call.

    Returns
    -------
    X : ndarray of shape (n_sequences, n_steps, 1), float64
        The noisy waves; axis order is sequence, time, feature.

    y : ndarray, float64
        The wave without noise, 1 to `horizon` steps ahead. For readout "last" it has shape
        (n_sequences, horizon): ``s(n_steps), ..., s(n_steps + horizon - 1)``. For readout "each" it
        has shape (n_sequences, n_steps, horizon): ``s(t + 1), ..., s(t + horizon)`` at step t. With
        ``horizon=1`` there is no last axis.

    Notes
    -----
    The task was made for this package. It is not from a paper.

    Examples
    --------
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(n_sequences=3, n_steps=40, random_state=0)
    >>> X.shape, y.shape
    ((3, 40, 1), (3,))
    >>> X, y = make_noisy_sines(n_sequences=3, n_steps=40, horizon=5, readout="each")
    >>> y.shape
    (3, 40, 5)
    """
    rng = check_random_state(random_state)
    amplitudes = rng.uniform(*SINE_AMPLITUDES, size=(n_sequences, 1))
    frequencies = rng.uniform(*SINE_FREQUENCIES, size=(n_sequences, 1))
    phases = rng.uniform(0.0, 2 * np.pi, size=(n_sequences, 1))
    steps = np.arange(n_steps + horizon)
    waves = amplitudes * np.sin(2 * np.pi * frequencies * steps + phases)

    X = waves[:, :n_steps] + noise * rng.standard_normal(size=(n_sequences, n_steps))
    # Window t has s(t), ..., s(t + horizon - 1): the targets of step t - 1.
    windows = np.lib.stride_tricks.sliding_window_view(waves, horizon, axis=1)
    y = windows[:, 1:].copy() if readout == "each" else windows[:, -1].copy()
    return X[:, :, np.newaxis], y[..., 0] if horizon == 1 else y
