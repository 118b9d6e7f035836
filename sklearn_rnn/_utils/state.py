"""The state of what is pickled: plain values, with the format and the version that wrote them."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from sklearn.exceptions import InconsistentVersionWarning

from sklearn_rnn._utils.plain import Field
from sklearn_rnn._utils.warnings import warn_user

# Of pickles, and of the files of sklearn_rnn.save. It grows when an older version could not read what this one writes.
FORMAT = 1
FORMAT_NAME, VERSION_NAME = "_sklearn_rnn_format", "_sklearn_rnn_version"
# The version of pickles that have none.
BEFORE_FORMATS = "before 0.1.0"


def package_version() -> str:
    """Return the version of this package."""
    return sys.modules[__name__.partition(".")[0]].__version__


def stamped(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with the format and the version of the package."""
    return state | {FORMAT_NAME: FORMAT, VERSION_NAME: package_version()}


def without_stamp(state: dict[str, Any], name: str) -> tuple[dict[str, Any], bool]:
    """Return a state without format and version, and whether it had them; warn of another version.

    Raises
    ------
    ValueError
        If the format is newer than this version's.
    """
    state = dict(state)
    written_in, version = state.pop(FORMAT_NAME, None), state.pop(VERSION_NAME, BEFORE_FORMATS)
    check_format(0 if written_in is None else written_in, version, name)
    warn_of_version(version, name)
    return state, written_in is not None


def check_format(written_in: Any, version: Any, name: str) -> None:
    """Refuse a newer format, and anything that is no format."""
    if isinstance(written_in, bool) or not isinstance(written_in, int) or written_in < 0:
        raise ValueError(f"{name} has the format {written_in!r}, which is none of sklearn_rnn.")
    if written_in > FORMAT:
        raise ValueError(
            f"{name} was saved by sklearn_rnn {version} in format {written_in}, but sklearn_rnn {package_version()} "
            f"reads formats up to {FORMAT}: install sklearn_rnn {version} or newer to load it."
        )


def warn_of_version(version: Any, name: str) -> None:
    """Warn, as scikit-learn does for its own estimators, if another version of this package wrote the state."""
    if version != package_version():
        warning = InconsistentVersionWarning(
            estimator_name=f"{name} of sklearn_rnn",
            current_sklearn_version=package_version(),
            original_sklearn_version=version,
        )
        warn_user(warning)


class PlainStateMixin:
    """An estimator whose pickles are made of plain values, apart from its parameters and scikit-learn's objects."""

    # The private attributes that are objects of this package, with the field that converts each.
    _plain_attributes: ClassVar[dict[str, Field]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        for name, field in self._plain_attributes.items():
            if name in state:
                state[name] = field.to_plain(state[name])
        return stamped(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        name = type(self).__name__
        state, has_stamp = without_stamp(state, name)
        if has_stamp:  # older pickles have the objects themselves
            for attribute, field in self._plain_attributes.items():
                if attribute in state:
                    state[attribute] = field.from_plain(state[attribute], f"{name}.{attribute}", False)
        super().__setstate__(state)  # type: ignore[misc]
