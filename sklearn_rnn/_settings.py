"""The estimators' parameters: their values, which go together, and the objects that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._network.cells import CELLS
from sklearn_rnn._network.embedding import EmbeddedFeature, Embedding
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import READOUTS
from sklearn_rnn._training.memory.budget import in_bytes
from sklearn_rnn._training.optimizers import SOLVERS, LearningRate, Optimizer
from sklearn_rnn._training.session import TrainingSession
from sklearn_rnn._training.settings import TrainingSettings
from sklearn_rnn._training.truncation.adaptive import AdaptiveTruncation
from sklearn_rnn._training.truncation.fixed import FixedTruncation
from sklearn_rnn._training.truncation.policy import Truncation
from sklearn_rnn._training.truncation.unbiased import MEAN_WINDOW, UnbiasedTruncation

# In the groups of the documentation.
CONSTRAINTS: dict[str, list[Any]] = {
    # Architecture
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "cell": [StrOptions(CELLS.keys())],
    "activation": [StrOptions({"tanh", "relu", "logistic", "identity"})],
    "bidirectional": ["boolean", StrOptions({"auto"})],
    "readout": [StrOptions(READOUTS.keys()), tuple, list],
    "normalize_readout": ["boolean"],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    # Sequences
    "step_features": [Interval(Integral, 1, None, closed="left")],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "categories": [StrOptions({"auto"}), list, tuple],
    "embedding_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "patch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "patch_stride": [Interval(Integral, 1, None, closed="left"), None],
    "stateful": ["boolean"],
    "normalize_features": ["boolean"],
    # BPTT
    "truncation": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto", "unbiased"}), None],
    "truncation_stride": [Interval(Integral, 1, None, closed="left"), None],
    "truncation_tolerance": [Interval(Real, 0, 1, closed="neither")],
    "memory_budget": [Interval(Integral, 1, None, closed="left"), str, None],
    # Optimizer
    "solver": [StrOptions(SOLVERS.keys())],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
    "clip_value": [Interval(Real, 0, None, closed="neither"), None],
    "clip_update": [Interval(Real, 0, None, closed="neither"), None],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    # Stopping
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "scoring": [str, callable, None],
    # Running
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
}

# Of embedding_size="auto": up to so many categories have as many numbers, as much as a one-hot code; the most numbers.
FULL_EMBEDDING, LARGEST_EMBEDDING = 8, 50

# Of layers, patches and vectors: far beyond any memory, and products of two of them are integers of NumPy.
LARGEST_SIZE = 2**31 - 1
LARGEST_FLOAT = float(np.finfo(np.float64).max)

# ---- Combinations of parameters ----------------------------------------------------------------------


def can_partial_fit(estimator: Any) -> bool:
    """Whether the parameters allow ``partial_fit``; for ``available_if``."""
    for parameter, value in (
        ("solver", "lbfgs"),
        ("early_stopping", True),
    ):
        if getattr(estimator, parameter) == value:
            raise AttributeError(
                f"{parameter}={value!r} does not go with partial_fit, which sees a part of the data at a time: use fit."
            )
    return True


def check_settings(estimator: Any) -> None:
    """Refuse combinations of parameters that do not work together."""
    sizes = layer_sizes(estimator)
    if not sizes or any(type(n) is not int or n < 1 for n in sizes):
        raise ValueError(f"hidden_layer_sizes must be integers of at least 1, got {estimator.hidden_layer_sizes!r}.")
    if estimator.cell != "rnn" and estimator.activation != "tanh":
        raise ValueError(
            f"activation={estimator.activation!r} is only for cell='rnn': cell={estimator.cell!r} has fixed "
            "activations. Set activation='tanh'."
        )
    _check_numbers(estimator)
    _check_readout(estimator.readout)
    in_bytes(estimator.memory_budget)
    _check_patches(estimator)
    _check_truncation(estimator.truncation, estimator.truncation_stride)
    for name, neutral, other, reason in _exclusions(estimator):
        if getattr(estimator, name) != neutral:
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} does not go with {other}, {reason} Set {name}={neutral}."
            )


def _is_integer(value: Any) -> bool:
    """Whether a value is an integer, but no bool."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def _check_numbers(estimator: Any) -> None:
    """Refuse integers that are beyond all floats, and sizes that no array can have."""
    for name in CONSTRAINTS:
        value: Any = getattr(estimator, name)
        takes_floats = any(isinstance(allowed, Interval) and allowed.type is Real for allowed in CONSTRAINTS[name])
        if takes_floats and _is_integer(value) and value > LARGEST_FLOAT:
            raise ValueError(f"{name} is an integer beyond all floats: choose at most {LARGEST_FLOAT}.")
    sizes: list[tuple[str, Any]] = [("hidden_layer_sizes", n) for n in layer_sizes(estimator)]
    names = ("step_features", "embedding_size", "patch_size", "patch_stride")
    for name, size in sizes + [(name, getattr(estimator, name)) for name in names]:
        if isinstance(size, bool):
            raise TypeError(f"{name}={getattr(estimator, name)!r} must be an integer.")
        if _is_integer(size) and size > LARGEST_SIZE:
            raise ValueError(f"{name}={getattr(estimator, name)!r} is too large: choose at most {LARGEST_SIZE}.")


def _check_readout(readout: Any) -> None:
    if isinstance(readout, str):
        return
    pools = [name for name, pool in READOUTS.items() if pool is not None]
    if not readout or not all(isinstance(name, str) and name in pools for name in readout):
        raise ValueError(f"readout={readout!r} must be one name, or a tuple of names out of {', '.join(pools)}.")
    if len(set(readout)) < len(readout):
        raise ValueError(f"readout={readout!r} has a name twice: name each pool once.")


def _check_patches(estimator: Any) -> None:
    size, stride = estimator.patch_size, estimator.patch_stride
    if size == "auto":
        return
    if estimator.readout == "each" and size > 1:
        raise ValueError(
            f"patch_size={size} does not go with readout='each', which predicts at every step. Set patch_size=1."
        )
    if stride is not None and stride > size:
        raise ValueError(
            f"patch_stride={stride} is more than patch_size={size}: the steps between patches would be lost. Choose "
            "patch_stride <= patch_size."
        )


def _check_truncation(truncation: Any, stride: Any) -> None:
    if truncation == "unbiased" and stride == 1:
        raise ValueError(
            "truncation_stride=1 is too short for truncation='unbiased', where it is the mean number of steps of a "
            "window: set truncation_stride to 2 or more."
        )
    longest = 0 if truncation is None else truncation
    if not isinstance(longest, str) and stride is not None and stride > longest:
        raise ValueError(
            f"truncation_stride={stride} is more than truncation={truncation}: the losses of the steps between "
            "windows would be lost. Choose truncation_stride <= truncation."
        )


def _exclusions(estimator: Any) -> Iterator[tuple[str, Any, str, str]]:
    """Yield (parameter, its neutral value, the setting that excludes its other values, the reason)."""
    if is_bidirectional(estimator):
        reason = "whose reverse pass begins at the end of the whole sequence."
        yield "truncation", None, "bidirectional=True", reason
        yield "memory_budget", None, "bidirectional=True", reason
        yield "stateful", False, "bidirectional=True", reason
    if estimator.stateful and estimator.patch_stride != estimator.patch_size:
        yield "patch_stride", None, "stateful=True", "whose chunks would begin within a patch."
    if estimator.solver == "lbfgs":
        reason = "which needs the exact gradient of a fixed loss."
        yield "truncation", None, "solver='lbfgs'", reason
        yield "dropout", 0.0, "solver='lbfgs'", reason


# ---- The network -------------------------------------------------------------------------------------


def layer_sizes(estimator: Any) -> tuple[Any, ...]:
    """Number of units of each layer."""
    sizes: Any = estimator.hidden_layer_sizes
    if isinstance(sizes, Integral) or getattr(sizes, "ndim", 1) == 0:
        sizes = (sizes,)
    # Python's integers: sums of small ones of NumPy overflow.
    return tuple(int(n) if _is_integer(n) else n for n in sizes)


def is_bidirectional(estimator: Any) -> bool:
    """Whether layers read the sequences from both ends; "auto": unless another parameter needs the order of time."""
    if estimator.bidirectional != "auto":
        return estimator.bidirectional
    needs_order = estimator.truncation is not None or estimator.memory_budget is not None or estimator.stateful
    return estimator.readout != "each" and not needs_order


def readout_of(estimator: Any) -> str | tuple[str, ...]:
    """Return the readout: a tuple only if there are several pools."""
    readout = estimator.readout
    if isinstance(readout, str):
        return readout
    return readout[0] if len(readout) == 1 else tuple(readout)


def architecture_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters that must not change after the network is built."""
    names = ("cell", "activation", "step_features", "patch_size", "patch_stride", "embedding_size")
    special = {
        "hidden_layer_sizes": layer_sizes(estimator),
        "bidirectional": is_bidirectional(estimator),
        "readout": readout_of(estimator),
        "categorical_features": _as_plain(estimator.categorical_features),
        "categories": _as_plain(estimator.categories),
    }
    targets = {"normalize_y": estimator.normalize_y} if hasattr(estimator, "normalize_y") else {}
    return special | {name: getattr(estimator, name) for name in names} | targets


def _as_plain(value: Any) -> Any:
    """Return an array, or a list of arrays, as a list; any other value unchanged."""
    if isinstance(value, (list, tuple)):
        return [_as_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def check_architecture(estimator: Any, fitted: dict[str, Any]) -> None:
    """Refuse to continue training if the parameters describe another network than the fitted one."""
    for name, value in architecture_of(estimator).items():
        if value != fitted.get(name, value):  # a model of an earlier version may lack it
            is_chosen = isinstance(getattr(estimator, name), str) and getattr(estimator, name) == "auto" != value
            chosen = ", as 'auto' chooses now," if is_chosen else ","
            raise ValueError(
                f"{name}={value!r}{chosen} but the fitted network has {name}={fitted[name]!r}: training continues only "
                "with the same architecture. To train a new network, call fit with warm_start=False."
            )


def make_network(
    estimator: Any, schema: InputSchema, n_outputs: int, random_state: np.random.RandomState
) -> RecurrentNetwork:
    """Return a new network with random start values."""
    embedding, n_steps = None, schema.patches.size
    if schema.categories is not None:
        features = [
            EmbeddedFeature(f.name, f.column, 1 + len(f.codes), embedding_size_of(estimator, len(f.codes)))
            for f in schema.categories.features
        ]
        embedding = Embedding(schema.step_features, features, n_steps)
    return RecurrentNetwork(
        n_steps * schema.step_features if embedding is None else embedding.n_inputs,
        layer_sizes(estimator),
        n_outputs,
        cell=estimator.cell,
        activation=estimator.activation,
        bidirectional=is_bidirectional(estimator),
        readout=readout_of(estimator),
        dtype=schema.dtype,
        random_state=random_state,
        embedding=embedding,
    )


def embedding_size_of(estimator: Any, n_categories: int) -> int:
    """Return the numbers of a category's vector; "auto": fastai's rule, but not too few, and not too many."""
    if estimator.embedding_size != "auto":
        return int(estimator.embedding_size)
    least = max(1, min(n_categories, FULL_EMBEDDING))
    return min(LARGEST_EMBEDDING, max(least, round(1.6 * n_categories**0.56)))


# ---- Training ----------------------------------------------------------------------------------------


SAME_NAMES = frozenset(field.name for field in fields(TrainingSettings))


def training_settings(
    estimator: Any, truncation: Truncation, n_sequences: int, in_one_batch: bool = False
) -> TrainingSettings:
    """Return the settings for training on ``n_sequences``."""
    batch_size = min(64, n_sequences) if estimator.batch_size == "auto" else estimator.batch_size
    special = {
        "batch_size": n_sequences if in_one_batch else batch_size,
        "clip_norm": clip_norm_of(estimator),
        "truncation": truncation,
        "memory_budget": in_bytes(estimator.memory_budget),
    }
    return TrainingSettings(**special, **{name: getattr(estimator, name) for name in SAME_NAMES - special.keys()})


def clip_norm_of(estimator: Any) -> float | None:
    """Return the norm above which gradients are clipped.

    "auto" is 1 or, where ``clip_update`` limits the steps, a norm whose square is far from an overflow in float32.
    """
    if estimator.clip_norm != "auto":
        return estimator.clip_norm
    return 1e9 if estimator.solver in ("adam", "rmsprop") and estimator.clip_update is not None else 1.0


def begin_session(estimator: Any, network: RecurrentNetwork, random_state: np.random.RandomState) -> TrainingSession:
    """Return the session of a network that is trained for the first time."""
    return TrainingSession(
        random_state, estimator.solver, *_optimizer_and_schedule(estimator, network), make_truncation(estimator)
    )


def restart_session(estimator: Any, network: RecurrentNetwork, earlier: TrainingSession) -> TrainingSession:
    """Return the session of a warm start: random numbers, history and scaling continue, everything else is reset."""
    session = begin_session(estimator, network, deepcopy(earlier.random_state))
    session.history, session.scaling = earlier.history, earlier.scaling
    return session


def continue_session(estimator: Any, network: RecurrentNetwork, earlier: TrainingSession) -> TrainingSession:
    """Return a copy of a session, to continue it. Optimizer and truncation are reset if their parameters changed."""
    session, truncation = earlier.copy(), make_truncation(estimator)
    if session.solver != estimator.solver:
        session.solver = estimator.solver
        session.optimizer, session.schedule = _optimizer_and_schedule(estimator, network)
    if session.truncation.settings != truncation.settings:
        session.truncation = truncation
    return session


def _optimizer_and_schedule(estimator: Any, network: RecurrentNetwork) -> tuple[Optimizer | None, LearningRate]:
    vector = network.parameters.vector
    schedule = LearningRate(
        estimator.learning_rate, estimator.learning_rate_init, estimator.power_t, estimator.max_iter
    )
    return SOLVERS[estimator.solver](len(vector), vector.dtype, estimator), schedule


def make_truncation(estimator: Any) -> Truncation:
    """Return the truncation policy that the parameters describe."""
    length, stride = _bounded(estimator.truncation), _bounded(estimator.truncation_stride)
    if length == "auto":
        return AdaptiveTruncation(estimator.truncation_tolerance, stride)
    if length == "unbiased":
        return UnbiasedTruncation(stride or MEAN_WINDOW)
    return FixedTruncation(length, stride)


def _bounded(n_steps: Any) -> Any:
    """Limit a number of steps to NumPy's integers; return any other value unchanged."""
    return min(n_steps, np.iinfo(np.intp).max) if isinstance(n_steps, Integral) else n_steps
