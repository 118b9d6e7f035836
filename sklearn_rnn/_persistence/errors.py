"""ModelFileError: a file that holds no model."""

from __future__ import annotations


class ModelFileError(ValueError):
    """A file that :func:`load` refuses: it is damaged, cut off or edited, or no file of :func:`save`.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> import sklearn_rnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "notes.txt")
    ...     with open(path, "w") as file:
    ...         n_characters = file.write("no model")
    ...     try:
    ...         sklearn_rnn.load(path)
    ...     except sklearn_rnn.ModelFileError:
    ...         print("not a file of save")
    not a file of save
    """


def check(holds: bool, message: str) -> None:
    """Raise a ModelFileError unless a condition holds."""
    if not holds:
        raise ModelFileError(message)
