"""The compiled recurrences, and the choice of the build that this processor runs.

Attributes
----------
name : {"v4", "v3", "v2", "generic", "numpy"}
    The build that runs: the kernels for that level of x86-64 (AVX-512, AVX2, SSE4), the kernels for any processor, or
    the NumPy cells if nothing was compiled. The environment variable ``SKLEARN_RNN_KERNEL``, read at import, forces
    one.
missing_reason : str, or None
    One sentence that says why there are no compiled kernels, and how to get them. None if kernels run, or if
    ``SKLEARN_RNN_KERNEL`` asked for "numpy".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sklearn_rnn._network.kernels.missing import explain_missing_extension

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    # The classes of the compiled module, which mypy cannot read.
    EmbeddingKernel: TypeAlias = Any
    Int8Kernel: TypeAlias = Any
    Kernel: TypeAlias = Any
    OutputKernel: TypeAlias = Any
    Stepper: TypeAlias = Any

VARIABLE = "SKLEARN_RNN_KERNEL"
LEVELS = ("v4", "v3", "v2", "generic")  # the fastest first

_kernels: Any
try:
    _kernels = import_module(f"{__name__}._kernels")
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._kernels":
        raise
    _kernels = None  # not built for this Python


def available() -> list[str]:
    """Return the names that can be forced here; the default comes first."""
    levels = [] if _kernels is None else [level for level in LEVELS if _kernels.is_supported(level)]
    return [*levels, "numpy"]


def _choose() -> str:
    forced = os.environ.get(VARIABLE)
    if not forced:
        return available()[0]
    if forced not in available():
        raise ImportError(
            f"{VARIABLE}={forced!r}: this processor has no build of that name. Set one of {', '.join(available())}, or "
            "unset the variable."
        )
    return forced


name = _choose()
missing_reason: str | None = explain_missing_extension() if _kernels is None and not os.environ.get(VARIABLE) else None


def has_cell(cell: str, activation: str) -> bool:
    """Whether kernels run here, and include this cell with this activation."""
    return name != "numpy" and _kernels.has_cell(cell, activation)


def has_pool(pool: str) -> bool:
    """Whether kernels run here, and a stepper can have this pool."""
    return name != "numpy" and _kernels.has_pool(pool)


def adam(
    parameters: NDArray, gradient: NDArray, mean: NDArray, uncentered_variance: NDArray, **settings: float
) -> None:
    """Take a step of Adam in place, in one pass; ``optimizers.Adam`` has and computes the ``settings``."""
    _kernels.adam(name, parameters, gradient, mean, uncentered_variance, **settings)


def relative_size(gradient: NDArray, uncentered_variance: NDArray, **settings: float) -> float:
    """Return the size of a step of Adam in one pass; ``optimizers.Adam`` has and computes the ``settings``."""
    return _kernels.relative_size(name, gradient, uncentered_variance, **settings)


def softmax_loss(scores: NDArray, targets: NDArray) -> tuple[NDArray, NDArray]:
    """Return the cross-entropy of softmax of each row, and its derivative with respect to the scores."""
    return _kernels.softmax_loss(name, scores, targets)


def add_to_sum(total: NDArray, hidden: NDArray, batch_sizes: NDArray) -> None:
    """Add hidden states of a packed batch to their sums over steps."""
    _kernels.add_steps_to_sum(name, total, hidden, batch_sizes)


def add_to_maximum(
    maximum: NDArray, step_of_maximum: NDArray, hidden: NDArray, batch_sizes: NDArray, first_step: int
) -> None:
    """Update the maxima over steps with hidden states of a packed batch, and the steps of the maxima."""
    _kernels.add_steps_to_maximum(name, maximum, step_of_maximum, hidden, batch_sizes, first_step)


def add_at_maximum(
    errors: NDArray,
    d_maximum: NDArray,
    step_of_maximum: NDArray,
    batch_sizes: NDArray,
    offsets: NDArray,
    first_step: int,
) -> None:
    """Add the errors of maxima over steps to the errors of the rows of a packed batch that these maxima are from."""
    _kernels.add_errors_at_maximum(name, errors, d_maximum, step_of_maximum, batch_sizes, offsets, first_step)


def have_same_bits(first: NDArray, second: NDArray) -> bool:
    """Whether two contiguous arrays of one shape and dtype have the same bits."""
    return _kernels.have_same_bits(first, second)


def values_of_scores(scale: NDArray, mean: NDArray, is_flat: bool) -> Callable[[NDArray], NDArray]:
    """Return a function from raw scores, (n_rows, n_outputs), to scores * scale + mean; see its class."""
    return _kernels.Units(scale, mean, is_flat)


def codes_of_scores() -> Callable[[NDArray], NDArray[np.intp]]:
    """Return a function from raw scores, (n_rows, n_outputs), to the index of the class of each row, (n_rows,)."""
    return _kernels.codes_of


def embedding_kernel(
    n_features: int,
    numbers: Sequence[int],
    categorical: Sequence[int],
    n_vectors: Sequence[int],
    sizes: Sequence[int],
) -> EmbeddingKernel:
    """Return the kernel of an embedding, in the chosen build; its class has the parameters."""
    return _kernels.EmbeddingKernel(name, n_features, numbers, categorical, n_vectors, sizes)


@cache
def kernel_for(cell: str, activation: str, dtype: DTypeLike) -> Kernel:
    """Return the kernel of a cell for a floating point type, in the chosen build."""
    return _kernels.Kernel(name, cell, activation, dtype)


@cache
def int8_kernel_for(cell: str, activation: str, dtype: DTypeLike) -> Int8Kernel:
    """Return the kernel of a cell with weights in 8 bits, in the chosen build; with VNNI if the processor has it."""
    level = "v4_vnni" if name == "v4" and _kernels.is_supported("v4_vnni") else name
    return _kernels.Int8Kernel(level, cell, activation, dtype)


@cache
def output_kernel_for(dtype: DTypeLike) -> OutputKernel:
    """Return the output layer's kernel for a floating point type, in the chosen build."""
    return _kernels.OutputKernel(name, dtype)


def make_stepper(
    *,
    kernel: Kernel,
    panels: list[NDArray],
    states: list[NDArray],
    n_inputs: int,
    output: OutputKernel,
    output_panels: NDArray,
    n_outputs: int,
    pools: tuple[str, ...],
    pooled: list[NDArray],
    n_steps: NDArray[np.int64],
    scaling: Any = None,
    n_directions: int = 1,
) -> Stepper:
    """Return a new ``Stepper``, a compiled network that continues one step at a time; its class has the parameters."""
    return _kernels.Stepper(
        kernel=kernel,
        panels=panels,
        states=states,
        n_inputs=n_inputs,
        output=output,
        output_panels=output_panels,
        n_outputs=n_outputs,
        pools=pools,
        pooled=pooled,
        n_steps=n_steps,
        scaling=scaling,
        n_directions=n_directions,
    )
