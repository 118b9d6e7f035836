"""The name of the engine that serves, and a warning where NumPy serves although nobody asked for it."""

from __future__ import annotations

from sklearn_rnn._network import kernels
from sklearn_rnn._utils.warnings import warn_user

# The reason for the warning, until it was given. Empty where kernels serve, or where NumPy was asked for.
pending = [] if kernels.missing_reason is None else [kernels.missing_reason]


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


def warn_of_missing_kernels() -> None:
    """Warn, in the first call of the process, that NumPy serves because kernels are missing.

    The call counts as the first one even if a filter turns the warning into an error: then the next call works.
    """
    try:
        reason = pending.pop()  # atomic: one of several threads gets it; a lock might be held during a fork
    except IndexError:
        return
    warn_user(
        f"sklearn_rnn runs on NumPy, up to three times slower, because {reason} To silence this warning, set the "
        f"environment variable {kernels.VARIABLE}=numpy."
    )
