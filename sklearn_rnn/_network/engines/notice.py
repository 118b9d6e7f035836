"""The name of the engine that serves."""

from __future__ import annotations

from sklearn_rnn._network import kernels


def engine_name() -> str:
    """Return "NumPy", or "compiled kernels" and their level."""
    if kernels.name == "numpy":
        return "NumPy"
    level = kernels.name if kernels.name == "generic" else f"x86-64-{kernels.name}"
    return f"compiled kernels, {level}"


def engine_name_and_reason() -> str:
    """Return :func:`engine_name`; for NumPy with the reason why it serves."""
    if kernels.name != "numpy":
        return engine_name()
    reason = kernels.missing_reason or f"{kernels.VARIABLE}=numpy"
    return f"{engine_name()} ({reason.removesuffix('.')})"
