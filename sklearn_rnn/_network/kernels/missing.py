"""Why the compiled extension is missing, and how to get it."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

PACKAGE = __name__.rpartition(".")[0]
FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[PACKAGE.count(".")]  # of the checkout; of an installed package, site-packages


def explain_missing_extension() -> str:
    """Return one sentence that begins in lower case: the reason and the remedy."""
    if not (ROOT / "pyproject.toml").exists():
        return (
            f"the compiled extension is not in {FOLDER}: no working C++17 compiler was there when the package was "
            "installed; install GCC 11 or Clang 12, or newer, and Python's headers, then reinstall sklearn-rnn with "
            "pip's options --force-reinstall and --no-cache-dir."
        )
    built = _folder_of_a_built_extension()
    if built is None:
        return (
            f"the compiled extension is not in {FOLDER}: this is a source checkout that has no extension built for "
            f'this Python; install a C++17 compiler, then run "pip install -e ." in {ROOT}.'
        )
    return (
        f"the compiled extension is not in {FOLDER}: Python runs from a source checkout without an extension built for "
        f"it, while the sklearn-rnn installed in {built} has one; start Python in another folder, so that {ROOT} is "
        'not on sys.path, or run "pip install -e ." there.'
    )


def _folder_of_a_built_extension() -> Path | None:
    """Return the folder on ``sys.path`` that holds another copy of the package, with the extension for this Python."""
    path = PACKAGE.split(".")
    spec = PathFinder.find_spec(f"{PACKAGE}._kernels", [str(Path(entry, *path)) for entry in sys.path])
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parents[len(path)]
