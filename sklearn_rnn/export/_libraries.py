"""The import of libraries that only exports need."""

from __future__ import annotations

import importlib
from typing import Any

INSTALL = {"onnx": '"sklearn-rnn[onnx]"', "skl2onnx": "skl2onnx", "torch": "torch"}


def import_library(module: str, function: str) -> Any:
    """Return a module of another library, which ``function`` needs.

    Raises
    ------
    ImportError
        If the library is not installed.
    """
    library = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"export.{function} needs {library}, which is not installed: pip install {INSTALL[library]}"
        ) from error
