"""The first pass: a small summary of each part, joined into what a plain fit learns from all of X and y."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sklearn_rnn._base import BaseRNN, reader_of
from sklearn_rnn._data.categories import CategoricalFeature, Categories, declared_categories, learn_categories
from sklearn_rnn._data.coding import ClassCoding, PositiveCoding, ValueCoding, ValueStatistics, plain_labels
from sklearn_rnn._data.feature_scale import ScaleCheck
from sklearn_rnn._data.mixed_steps import names_of_step, without_unseen
from sklearn_rnn._data.names import record_names, refuse_names
from sklearn_rnn._data.patches import Patches, choose_patches
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._data.target_readers import LabelReader, ValueReader, balanced_class_weights
from sklearn_rnn._data.targets import warn_of_steps
from sklearn_rnn._data.training_data import Known, Names, Samples, read_samples
from sklearn_rnn._data.weights import check_sum
from sklearn_rnn._utils.warnings import collected_warnings, warn_user
from sklearn_rnn.dask._layout import Layout, naming_part

# ---- Targets -----------------------------------------------------------------------------------------


@dataclass
class LabelSummary:
    """Class labels of a part.

    Attributes
    ----------
    labels : ndarray
        Each label once; for multilabel targets no row, but a column for each label. None: no target is known.
    counts : ndarray of shape (n_labels,), or None for multilabel targets
        The weight of each label.
    """

    labels: np.ndarray | None
    counts: np.ndarray | None

    @classmethod
    def of(cls, y: np.ndarray, weights: np.ndarray) -> LabelSummary:
        """Return the summary of checked labels, (n,) or (n, n_labels), with weights (n,)."""
        if len(y) == 0:
            return cls(None, None)
        if y.ndim == 2:
            return cls(y[:0], None)
        labels, codes = np.unique(y, return_inverse=True)
        return cls(labels, np.bincount(codes, weights, minlength=len(labels)))


@dataclass
class ValueSummary:
    """Values of a part: the number of outputs, whether they have an axis, and their statistics, if they are needed."""

    is_flat: bool
    statistics: ValueStatistics

    @classmethod
    def of(cls, y: np.ndarray, weights: np.ndarray, normalize: bool) -> ValueSummary:
        """Return the summary of checked values, (n,) or (n, n_outputs), with weights (n,)."""
        is_flat = y.ndim == 1
        y = y[:, None] if is_flat else y
        summary = cls(is_flat, ValueStatistics(y.shape[1]))
        if normalize:
            summary.statistics.add(y, weights)
        return summary


def coding_of_labels(summaries: dict[int, LabelSummary], classes: np.ndarray | None, y: str) -> ClassCoding:
    """Return the coding of the labels of all parts; ``classes`` are all that there will be, if known."""
    found = {i: summary.labels for i, summary in summaries.items() if summary.labels is not None}
    if not found:
        raise ValueError(f"{y} has no known target: every one is NaN, None or NA. Pass at least one.")
    first = next(iter(found))
    for i, labels in found.items():
        if labels.shape[1:] != found[first].shape[1:]:
            raise ValueError(
                f"{y} of part {i} has {_shown_shape(labels)}, but {y} of part {first} has {_shown_shape(found[first])}."
            )
        if (labels.dtype.kind in "OUS") != (found[first].dtype.kind in "OUS") and labels.size and found[first].size:
            raise ValueError(
                f"{y} of part {i} has labels such as {plain_labels(labels)[0]!r}, but {y} of part {first} such as "
                f"{plain_labels(found[first])[0]!r}: pass labels of one type."
            )
    return ClassCoding.learn(np.concatenate(list(found.values())), classes, y)


def _shown_shape(labels: np.ndarray) -> str:
    return "one label each" if labels.ndim == 1 else f"{labels.shape[1]} labels a sequence"


def coding_of_values(summaries: dict[int, ValueSummary], reader: ValueReader, y: str) -> ValueCoding:
    """Return the coding of the values of all parts."""
    first, joined = next(iter(summaries)), None
    for i, summary in summaries.items():
        if joined is None:
            joined = summary
        elif (summary.is_flat, summary.statistics.n_outputs) != (joined.is_flat, joined.statistics.n_outputs):
            raise ValueError(
                f"{y} of part {i} has {summary.statistics.n_outputs} outputs, but {y} of part {first} has "
                f"{joined.statistics.n_outputs}: pass the same number (and axes) in every part."
            )
        else:
            joined.statistics.join(summary.statistics)
    assert joined is not None
    cls = PositiveCoding if reader.loss == "poisson" else ValueCoding
    return cls.of_statistics(joined.statistics, joined.is_flat, reader.normalize)


# ---- A part ------------------------------------------------------------------------------------------


@dataclass
class FeatureSummary:
    """A categorical feature of a part: the categories that its dtype or the parameters declare, and those seen."""

    name: str
    column: int
    declared: list[Any] | None
    seen: set[Any]


@dataclass
class PartSummary:
    """The summary of a part; None in the place of most attributes for an empty one.

    Attributes
    ----------
    schema : InputSchema
        Without patches and categories.
    n_features_in : int
    names_in : ndarray or None
        ``n_features_in_`` and ``feature_names_in_`` of an estimator that is fitted on the part.
    form : str
        Of Sequences.
    features : list of FeatureSummary
        Those that are categorical.
    lengths, weights_of_lengths : ndarray
        Each number of steps once, and the weight of the sequences that have it.
    weight : float
        Of all sequences or steps.
    target : LabelSummary or ValueSummary
    scale : ScaleCheck
    warnings : list
    """

    schema: InputSchema
    n_features_in: int
    names_in: np.ndarray | None
    form: str
    features: list[FeatureSummary]
    lengths: np.ndarray
    weights_of_lengths: np.ndarray
    weight: float
    target: Any
    scale: ScaleCheck
    warnings: list[Any] = field(default_factory=list)


def summarize(index: int, raw: Any, layout: Layout, estimator: BaseRNN) -> PartSummary | None:
    """Return the summary of a part; None if it is empty. A task."""
    with collected_warnings() as warnings, naming_part(layout.names, index):
        data = layout.read(raw)
        if data.is_empty:
            return None
        summary = _summary_of(data, layout, _copy_of(estimator))
    summary.warnings = warnings
    return summary


def _copy_of(estimator: BaseRNN) -> Any:
    """Return a shallow copy, on which reading may set the number and the names of features."""
    copied = type(estimator).__new__(type(estimator))
    copied.__dict__ = vars(estimator).copy()
    return copied


def _summary_of(data: Any, layout: Layout, estimator: Any) -> PartSummary:
    reader, scale, names = reader_of(estimator), ScaleCheck(), layout.names
    samples = read_samples(
        estimator, data.X, data.y, data.sample_weight, reader, may_be_zero=True, names=names, scale_check=scale
    )
    sequences, weights = samples.sequences, samples.weights
    target = _summary_of_targets(samples, reader)
    if not reader.per_step:
        warn_of_steps(samples.y, sequences, names.y)
    of_sequences = _weights_of_sequences(samples, reader.per_step)
    lengths, places = np.unique(sequences.lengths, return_inverse=True)
    return PartSummary(
        schema=replace(samples.schema, categories=None, patches=Patches()),
        n_features_in=estimator.n_features_in_,
        names_in=getattr(estimator, "feature_names_in_", None),
        form=sequences.form,
        features=_features_of(samples, of_sequences),
        lengths=lengths,
        weights_of_lengths=np.bincount(places, of_sequences.astype(np.float64)),
        weight=float(weights.sum(dtype=np.float64)),
        target=target,
        scale=scale,
    )


def _summary_of_targets(samples: Samples, reader: Any) -> LabelSummary | ValueSummary:
    if isinstance(reader, LabelReader):
        return LabelSummary.of(samples.y, samples.weights_of_known)
    return ValueSummary.of(samples.y, samples.weights_of_known, reader.normalize)


def _weights_of_sequences(samples: Samples, per_step: bool) -> np.ndarray:
    """Return the weight of each sequence, (n_sequences,); with ``per_step`` that of all its steps."""
    return np.add.reduceat(samples.weights, samples.sequences.starts) if per_step else samples.weights


def _features_of(samples: Samples, of_sequences: np.ndarray) -> list[FeatureSummary]:
    """Return the categorical features, with the categories that sequences with weight have."""
    categories = samples.schema.categories
    if categories is None:
        return []
    learned = replace(categories, features=tuple(replace(f, is_learned=True) for f in categories.features))
    counting = np.flatnonzero(of_sequences > 0)
    seen: Any = [[]] * len(categories.features)
    if len(counting):
        seen = [list(f.codes) for f in without_unseen(samples.sequences.subset(counting), learned)[1].features]
    return [
        FeatureSummary(f.name, f.column, None if f.is_learned else list(f.codes), set(values))
        for f, values in zip(categories.features, seen)
    ]


# ---- All parts ---------------------------------------------------------------------------------------


def join(
    summaries: Sequence[PartSummary | None],
    estimator: Any,
    names: Names,
    classes: np.ndarray | None = None,
) -> Known:
    """Return what a plain fit learns from the data of all parts.

    The number and the names of features are set on ``estimator``. ``classes`` are all that there will be, if known.
    """
    parts = {i: summary for i, summary in enumerate(summaries) if summary is not None}
    if not parts:
        raise ValueError(f"{names.X} has no sequence in any of its {len(summaries)} parts: at least one is needed.")
    _check_forms(parts, names)
    first = next(iter(parts.values()))
    estimator.n_features_in_ = first.n_features_in
    record_names(estimator, first.names_in)
    _check_weights(parts, names)
    schema = replace(
        first.schema,
        dtype=max((part.schema.dtype for part in parts.values()), key=lambda dtype: dtype.itemsize),
        categories=_joined_categories(parts, names),
        patches=choose_patches(estimator, *_joined_lengths(parts)),
    )
    _pass_on_warnings(parts, estimator, schema, names)
    reader = reader_of(estimator)
    targets: Any = {i: part.target for i, part in parts.items()}
    if isinstance(reader, LabelReader):
        return Known(schema, coding_of_labels(targets, classes, names.y))
    assert isinstance(reader, ValueReader)
    return Known(schema, coding_of_values(targets, reader, names.y))


def warn_of_empty(n_parts: int, empty: list[int], names: Names) -> None:
    """Say once that parts are empty."""
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        warn_user(f"{names.X} has {len(empty)} of {n_parts} parts without any sequence ({shown}): they are left out.")


def _check_forms(parts: dict[int, PartSummary], names: Names) -> None:
    """Refuse parts of another form, or with other features, than the first one."""
    X = names.X
    (first, expected), *others = parts.items()
    for i, part in others:
        place, other = f"{X} of part {i}", f"{X} of part {first}"
        if part.schema.is_table != expected.schema.is_table:
            kinds = [("2-D" if p.schema.is_table else "made of sequences") for p in (part, expected)]
            raise ValueError(f"{place} is {kinds[0]}, but {other} is {kinds[1]}: pass parts of one form.")
        if part.n_features_in != expected.n_features_in:
            what = "columns" if part.schema.is_table else "features per step"
            raise ValueError(
                f"{place} has {part.n_features_in} {what}, but {other} has {expected.n_features_in}: every part needs "
                "the same number of features."
            )
        _compare_names(part.names_in, expected.names_in, place, other)


def _compare_names(names: np.ndarray | None, expected: np.ndarray | None, place: str, other: str) -> None:
    """Refuse names of features that differ between parts."""
    if names is None and expected is None:
        return
    if names is None or expected is None:
        with_names, without = (other, place) if names is None else (place, other)
        raise ValueError(f"{without} has no feature names, but {with_names} has: pass parts of one form.")
    if len(names) != len(expected) or (names != expected).any():
        refuse_names(place, names, expected, other)


def refuse_cut_sequences(keys: dict[int, np.ndarray | None], names: Names, by: tuple[str, ...]) -> None:
    """Refuse frames with steps of one sequence in several parts."""
    known = {i: hashes for i, hashes in keys.items() if hashes is not None}
    if not known:
        return
    hashes = np.concatenate(list(known.values()))
    parts = np.repeat(list(known), [len(hashes) for hashes in known.values()])
    order = np.argsort(hashes, kind="stable")
    repeated = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    if len(repeated):
        one, other = parts[order[repeated[0]]], parts[order[repeated[0] + 1]]
        column = by[0] if len(by) == 1 else list(by)
        raise ValueError(
            f"{names.X} has steps of {len(repeated)} sequences in several parts, such as {one} and {other}: every "
            f"sequence must be whole in one partition. Call {names.X} = {names.X}.shuffle(on={column!r})."
        )


def _check_weights(parts: dict[int, PartSummary], names: Names) -> None:
    total = sum(part.weight for part in parts.values())
    if total == 0:
        raise ValueError(
            f"{names.sample_weight} is zero for every sequence of every part: at least one must be positive."
        )
    check_sum(np.array([total]), next(iter(parts.values())).schema.dtype, names.sample_weight)


def _joined_lengths(parts: dict[int, PartSummary]) -> tuple[np.ndarray, np.ndarray]:
    """Return each number of steps once, and the weight of the sequences that have it."""
    lengths, places = np.unique(np.concatenate([part.lengths for part in parts.values()]), return_inverse=True)
    return lengths, np.bincount(places, np.concatenate([part.weights_of_lengths for part in parts.values()]))


def _joined_categories(parts: dict[int, PartSummary], names: Names) -> Categories | None:
    """Return the categorical features with the categories of all parts."""
    (first, expected), *others = parts.items()
    columns = [feature.column for feature in expected.features]
    for i, part in others:
        if [feature.column for feature in part.features] != columns:
            differing = {f.column: f.name for f in [*part.features, *expected.features]}
            own = {f.column for f in part.features}
            column = min(own.symmetric_difference(columns))
            one, other = (i, first) if column in own else (first, i)
            raise ValueError(
                f"{names.X} of part {one} has categories in the feature {differing[column]!r}, but {names.X} of part "
                f"{other} has numbers or no value: name the feature in categorical_features, or cast it in all parts."
            )
    if not columns:
        return None
    features = tuple(_joined_feature(of_parts) for of_parts in zip(*(part.features for part in parts.values())))
    return Categories(features, expected.schema.step_features)


def _joined_feature(of_parts: tuple[FeatureSummary, ...]) -> CategoricalFeature:
    first = of_parts[0]
    if first.declared is not None and all(feature.declared == first.declared for feature in of_parts):
        return declared_categories(first.name, first.column, first.declared)
    return learn_categories(first.name, first.column, set().union(*(feature.seen for feature in of_parts)))


def _pass_on_warnings(parts: dict[int, PartSummary], estimator: Any, schema: InputSchema, names: Names) -> None:
    """Show the warnings of the parts, each text once, and warn of features that are far from scale."""
    for message, category in dict.fromkeys(warning for part in parts.values() for warning in part.warnings):
        warn_user(message, category)
    first, scale = next(iter(parts.values())), ScaleCheck()
    for part in parts.values():
        scale.join(part.scale)
    lengths, _ = _joined_lengths(parts)
    form = Sequences(np.empty((0, schema.step_features), schema.dtype), lengths, first.form, names.X)
    scale.warn(form, schema.owner, names_of_step(estimator, form))


def class_weights(summaries: Sequence[PartSummary | None], coding: ClassCoding, class_weight: Any) -> Any:
    """Return ``class_weight``, with the weights of the classes of all parts in the place of "balanced"."""
    if class_weight != "balanced" or coding.is_multilabel:
        return class_weight
    counts = dict.fromkeys(plain_labels(coding.classes), 0.0)
    for part in summaries:
        if part is not None and part.target.labels is not None:
            for label, count in zip(plain_labels(part.target.labels), part.target.counts.tolist()):
                if label in counts:  # others are refused when the part is read
                    counts[label] += count
    return dict(zip(counts, balanced_class_weights(np.array(list(counts.values()))).tolist()))
