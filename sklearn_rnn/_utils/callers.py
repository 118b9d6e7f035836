"""Who called: the user, or an estimator that makes many fits."""

from __future__ import annotations

import sys
from types import FrameType

# Modules of scikit-learn that call one fit, as the user would.
SINGLE_FITS = ("sklearn.base", "sklearn.pipeline", "sklearn.compose", "sklearn.utils", "sklearn.callback")


def is_one_of_many_fits() -> bool:
    """Whether a search, a cross-validation, an ensemble of scikit-learn, or joblib called this."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("joblib.") or (module.startswith("sklearn.") and not module.startswith(SINGLE_FITS)):
            return True
        frame = frame.f_back
    return False
