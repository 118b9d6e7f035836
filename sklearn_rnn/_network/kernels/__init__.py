"""The recurrences compiled, and the choice of the build that this processor runs.

Attributes
----------
name : {"v4", "v3", "v2", "generic", "numpy"}
    What serves: the kernels for that level of x86-64 (AVX-512, AVX2, SSE4), those for any processor, or the NumPy cells
    where nothing was compiled. The environment variable ``SKLEARN_RNN_KERNEL``, read at import, forces one.
"""

import os
from functools import cache
from importlib import import_module
from typing import Any

VARIABLE = "SKLEARN_RNN_KERNEL"
LEVELS = ("v4", "v3", "v2", "generic")  # the fastest first

_kernels: Any
try:
    _kernels = import_module(f"{__name__}._kernels")
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._kernels":
        raise
    _kernels = None  # not built: there was no compiler


def available():
    """Names that can be forced here, the one that is chosen by itself first."""
    levels = [] if _kernels is None else [level for level in LEVELS if _kernels.is_supported(level)]
    return [*levels, "numpy"]


def _choose():
    forced = os.environ.get(VARIABLE)
    if not forced:
        return available()[0]
    if forced not in available():
        raise ImportError(
            f"{VARIABLE}={forced!r}: what was built for this processor is {', '.join(available())}. Set one of them, "
            "or unset the variable."
        )
    return forced


name = _choose()


def adam(parameters, gradient, mean, uncentered_variance, **settings):
    """Take a step of Adam in place, in one pass; ``settings`` as ``_optimizers.Adam`` has and computes them."""
    _kernels.adam(name, parameters, gradient, mean, uncentered_variance, **settings)


@cache
def kernel_for(cell, activation, dtype):
    """Return the kernel of a cell for a floating point type, in the build that was chosen."""
    return _kernels.Kernel(name, cell, activation, dtype)


@cache
def output_kernel_for(dtype):
    """Return the output layer's kernel for a floating point type, in the build that was chosen."""
    return _kernels.OutputKernel(name, dtype)


def make_stepper(*arguments):
    """Return a new ``Stepper``: a compiled network that goes on one step at a time."""
    return _kernels.Stepper(*arguments)
