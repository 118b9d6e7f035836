"""The transformer that TimeDistributed applies: its methods, whether it takes NaN, and its errors about text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from sklearn_rnn._data.raw_steps import RawSequences


def transformer_has(method):
    """Return a check, for ``available_if``, that the transformer has a method."""

    def has_method(self):
        getattr(getattr(self, "transformer_", self.transformer), method)  # or its AttributeError
        return True

    return has_method


def allows_nan(transformer):
    """Whether a transformer accepts NaN: compositions have no tag of their own, their parts decide."""
    if isinstance(transformer, Pipeline):
        parts = [step for _, step in transformer.steps if not _is_placeholder(step)][:1]
    elif isinstance(transformer, FeatureUnion):
        parts = [part for _, part in transformer.transformer_list]
    elif isinstance(transformer, ColumnTransformer):
        parts = [part for _, part, _ in transformer.transformers]
    else:
        return get_tags(transformer).input_tags.allow_nan
    return all(_is_placeholder(part) or allows_nan(part) for part in parts)


def _is_placeholder(part):
    """Whether a part of a composition is "passthrough", "drop" or None."""
    return part is None or isinstance(part, str)


@contextmanager
def naming_text(transformer, sequences) -> Iterator[None]:
    """Name the columns of text and the remedy where a transformer of numbers gets text."""
    try:
        yield
    except (ValueError, TypeError) as error:
        text, others = sequences.columns_of_text if isinstance(sequences, RawSequences) else ([], [])
        if not text or "could not convert string" not in str(error):
            raise
        raise ValueError(
            f"X has text in the columns {text}, which transformer={transformer} does not take: {error}. "
            f"{_remedy(transformer, text, others)}"
        ) from error


def _remedy(transformer, text, others):
    """Return the line that keeps text from a transformer of numbers, as the end of a message."""
    if not others:
        return (
            "RNNClassifier and RNNRegressor learn a vector for each text: leave this transformer out. For other "
            "estimators, encode the text: TimeDistributed(OneHotEncoder())."
        )
    return (
        f"Name the columns of each transformer: TimeDistributed(ColumnTransformer([('text', 'passthrough', {text}), "
        f"('numbers', {transformer}, {others})])). RNNClassifier and RNNRegressor learn a vector for each text that "
        "passes through. For other estimators, encode it: OneHotEncoder() in the place of 'passthrough'."
    )
