"""SequenceEstimator: the base of all estimators of this package."""

from __future__ import annotations

from sklearn.base import BaseEstimator

from sklearn_rnn._utils.documentation_link import DocumentationLinkMixin
from sklearn_rnn._utils.state import PlainStateMixin


class SequenceEstimator(DocumentationLinkMixin, PlainStateMixin, BaseEstimator):
    """An estimator or a transformer of sequences: its pickles are plain values, and its diagram links to its page.

    Mixins stand before it, as before scikit-learn's BaseEstimator.
    """
