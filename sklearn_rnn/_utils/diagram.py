"""The HTML diagram of an estimator, which notebooks show."""

from __future__ import annotations

from typing import Any


def block_with_caption(estimator: Any, caption: str) -> Any:
    """Return scikit-learn's block of an estimator, with a caption under the name; for ``_sk_visual_block_``.

    If a later scikit-learn moves its private class again, it catches the ImportError and draws the block without the
    caption.
    """
    try:
        from sklearn.utils._repr_html.estimator import _VisualBlock
    except ModuleNotFoundError:  # scikit-learn 1.6
        from sklearn.utils._estimator_html_repr import _VisualBlock
    name = type(estimator).__name__
    return _VisualBlock("single", estimator, names=name, name_details=str(estimator), name_caption=caption)
