"""A copy of the package as an installation without a compiler has it."""

import shutil
from pathlib import Path

import pytest

import sklearn_rnn


@pytest.fixture
def copy_without_kernels(tmp_path):
    """A folder with a copy of the package that has no compiled extension."""
    folder = tmp_path / "copy"
    # With the compiled Python files, so that no process compiles them anew, but not those that another writes just now.
    ignored = shutil.ignore_patterns("_kernels.*", "*.pyc.*")
    shutil.copytree(Path(sklearn_rnn.__file__).parent, folder / "sklearn_rnn", ignore=ignored)
    return folder
