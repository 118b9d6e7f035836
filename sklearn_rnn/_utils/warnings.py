"""Warnings that point at the user's line, and the NumPy warnings that are silenced."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import joblib
import numpy as np
import sklearn

Message: TypeAlias = "str | Warning"

# Folders of library code: their frames are not the user's.
LIBRARIES = tuple(
    f"{folder}{os.sep}"
    for folder in (Path(sklearn.__file__).parent, Path(joblib.__file__).parent, Path(__file__).parents[1])
)


_collected: ContextVar[list[tuple[Message, type[Warning]]] | None] = ContextVar("_collected", default=None)


@contextmanager
def collected_warnings() -> Iterator[list[tuple[Message, type[Warning]]]]:
    """Collect the warnings of this thread, instead of showing them: for a user in another process."""
    collected: list[tuple[Message, type[Warning]]] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def warn_user(message: Message, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside of this package, scikit-learn and joblib: the user's line.

    ``warnings.warn(skip_file_prefixes=...)`` does the same, but only from Python 3.12 on.
    """
    collected = _collected.get()
    if collected is not None:
        collected.append((message, category))
        return
    stacklevel = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        stacklevel, frame = stacklevel + 1, frame.f_back
    warnings.warn(message, category, stacklevel=stacklevel)


def without_overflow_warnings() -> np.errstate:
    """Silence NumPy's warnings in this thread. An overflow shows in the loss and stops training, with a warning."""
    return np.errstate(over="ignore", invalid="ignore")
