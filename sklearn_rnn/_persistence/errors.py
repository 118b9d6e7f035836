"""ModelFileError: a file that holds no model."""

from __future__ import annotations


class ModelFileError(ValueError):
    """A file that :func:`load` refuses: it is damaged, cut off or edited, or no file of :func:`save`."""


def check(holds: bool, message: str) -> None:
    """Raise a ModelFileError unless a condition holds."""
    if not holds:
        raise ModelFileError(message)
