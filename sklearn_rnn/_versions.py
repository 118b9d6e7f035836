"""show_versions: the versions that a bug report needs."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from threadpoolctl import threadpool_info

from sklearn_rnn._network.engines.notice import engine_name_and_reason

PACKAGES = ("sklearn-rnn", "numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")


def show_versions() -> None:
    """Print the versions of Python, of the packages in use and of the BLAS library, and the engine, for bug reports.

    Examples
    --------
    >>> import sklearn_rnn
    >>> sklearn_rnn.show_versions()
    python: ...
    machine: ...
    engine: ...
    """
    print(f"python: {platform.python_version()} ({sys.executable})")
    print(f"machine: {platform.platform()}")
    for package in PACKAGES:
        print(f"{package}: {_installed_version(package)}")
    for library in threadpool_info():
        print(
            f"{library['user_api']}: {library['internal_api']} {library['version']}, {library['num_threads']} threads"
        )
    print(f"engine: {engine_name_and_reason()}")


def _installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
