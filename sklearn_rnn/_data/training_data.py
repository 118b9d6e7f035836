"""X, y and sample weights of one call, read together: a Dataset, and the schema and coding that it is read by.

Weight 0 means removal: sequences without any weight are left out here, before anything is computed. An unknown target
of a step is a weight of 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.alignment import check_alignment
from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.feature_scale import ScaleCheck
from sklearn_rnn._data.ids import IdCheck
from sklearn_rnn._data.mixed_steps import names_of_step, read_new_sequences, without_unseen
from sklearn_rnn._data.patches import Patches, choose_patches
from sklearn_rnn._data.readings import warn_of_readings
from sklearn_rnn._data.schema import InputSchema
from sklearn_rnn._data.target_readers import TargetReader
from sklearn_rnn._data.targets import warn_of_steps
from sklearn_rnn._data.weights import check_weights


class Names(NamedTuple):
    """The arguments that hold some data, for messages."""

    X: str = "X"
    y: str = "y"
    sample_weight: str = "sample_weight"


TRAINING, VALIDATION = Names(), Names("X_val", "y_val", "sample_weight_val")


class Known(NamedTuple):
    """The parts of a model that say how data are read."""

    schema: InputSchema
    coding: ClassCoding | ValueCoding


def read_training_data(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    reader: TargetReader,
    *,
    known: Known | None = None,
    classes: np.ndarray | None = None,
    is_chunk: bool = False,
    is_part: bool = False,
    names: Names = TRAINING,
) -> tuple[Known, Dataset]:
    """Check X, y and the weights.

    Parameters
    ----------
    estimator : BaseRNN
        Its parameters decide the features of a step and the patches. Its ``n_features_in_`` and ``feature_names_in_``
        are set or compared.
    X, y, sample_weight
        As for ``fit``.
    reader : TargetReader
    known : Known or None, default=None
        Of a fitted model; None: learned from these data.
    classes : ndarray of shape (n_classes,), or None
        All classes that there will be, if known.
    is_chunk : bool, default=False
        Whether the sequences may have begun before X. Then X moves the network state even without any weight.
    is_part : bool, default=False
        Whether other data are trained on too, so that all of these may be without weight.
    names : Names
        The arguments, for messages.

    Returns
    -------
    Known, Dataset
        The dataset has no sequence without weight, except if ``is_chunk``.
    """
    schema, sequences, y, is_known, weights = read_samples(
        estimator,
        X,
        y,
        sample_weight,
        reader,
        schema=None if known is None else known.schema,
        may_be_zero=is_chunk or is_part,
        names=names,
    )
    if is_chunk:
        schema.check_whole_patches(
            sequences,
            f"but with stateful=True a chunk needs a multiple of patch_size={schema.patches.size}: zeros before a "
            "patch would come in mid-sequence.",
        )
    if known is None or known.coding.is_provisional:
        coding = reader.learn(y, classes, weights if is_known is None else weights[is_known])
    else:
        coding = known.coding
    targets = _in_all_rows(coding.encode(y, schema.dtype, schema.owner, names.y), is_known)
    if known is None and not reader.per_step:
        warn_of_steps(y, sequences, names.y)
    weights = reader.reweigh(weights, targets, coding)
    if not is_chunk and not is_part and not weights.any():
        raise ValueError(f"class_weight={estimator.class_weight} leaves every sequence with weight 0.")
    dataset: Any = Dataset(sequences, targets, weights, reader.per_step)
    if not is_chunk:
        dataset = dataset.without_zero_weights()
        if known is None and schema.categories is not None and len(dataset) < len(sequences):
            schema, dataset = _without_unseen_categories(schema, dataset)
    return Known(schema, coding), replace(dataset, sequences=schema.patches.of(dataset.sequences))


class Samples(NamedTuple):
    """X, y and weights, checked.

    Attributes
    ----------
    schema : InputSchema
    sequences : Sequences or MappedSequences
        Not yet in patches.
    y : ndarray of shape (n_known,) or (n_known, n_outputs)
        The known targets.
    is_known : ndarray of shape (n_rows,), bool, or None
        Which steps have a known target. None: all, or targets are those of sequences.
    weights : ndarray of shape (n_sequences,) or (n_rows,)
        0 where no target is known.
    """

    schema: InputSchema
    sequences: Any
    y: np.ndarray
    is_known: np.ndarray | None
    weights: np.ndarray

    @property
    def weights_of_known(self) -> np.ndarray:
        """The weights of the known targets."""
        return self.weights if self.is_known is None else self.weights[self.is_known]


def read_samples(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    reader: TargetReader,
    *,
    schema: InputSchema | None = None,
    may_be_zero: bool = False,
    names: Names = TRAINING,
    scale_check: ScaleCheck | None = None,
    warns: bool = True,
) -> Samples:
    """Check X, y and the weights, but for the coding of y; see :func:`read_training_data` and :func:`read_sequences`.

    With ``may_be_zero`` all weights may be 0.
    """
    known = schema
    schema, sequences = read_sequences(estimator, X, names.X, known, warns=warns, scale_check=scale_check)
    if sequences.form != "rows":
        check_alignment(X, y, names.y, names.X)
        check_alignment(X, sample_weight, names.sample_weight, names.X)
    y, is_known = reader.check(y, sequences, schema.dtype, names.y)
    weights = check_weights(
        sample_weight,
        sequences,
        schema.dtype,
        per_step=reader.per_step,
        may_be_zero=may_be_zero,
        name=names.sample_weight,
    )
    if known is None and (not may_be_zero or weights.any()):
        schema = replace(schema, patches=choose_patches(estimator, sequences.lengths, weights))
    if is_known is not None:
        weights = _weights_of_known(weights, is_known, may_be_zero, names)
    return Samples(schema, sequences, y, is_known, weights)


def _without_unseen_categories(schema: InputSchema, dataset: Dataset) -> tuple[InputSchema, Dataset]:
    """Leave out categories that only sequences without weight have: they are as removed."""
    assert schema.categories is not None
    sequences, categories = without_unseen(dataset.sequences, schema.categories)
    return replace(schema, categories=categories), replace(dataset, sequences=sequences)


def _weights_of_known(weights: np.ndarray, is_known: np.ndarray, may_be_zero: bool, names: Names) -> np.ndarray:
    """Return the weights of steps, (n_rows,), with 0 where no target is known."""
    if not may_be_zero and not is_known.any():
        raise ValueError(f"{names.y} has no known target: every one is NaN, None or NA. Pass at least one.")
    weights = weights * is_known
    if not may_be_zero and not weights.any():
        raise ValueError(
            f"{names.sample_weight} is zero for every step whose target is known: at least one must be positive."
        )
    return weights


def _in_all_rows(targets: np.ndarray, is_known: np.ndarray | None) -> np.ndarray:
    """Return the known targets, (n, n_outputs), in the rows of their steps, (n_rows, n_outputs); zeros elsewhere."""
    if is_known is None:
        return targets
    in_all_rows = np.zeros((len(is_known), targets.shape[1]), targets.dtype)
    in_all_rows[is_known] = targets
    return in_all_rows


def read_sequences(
    estimator: Any,
    X: Any,
    name: str = "X",
    schema: InputSchema | None = None,
    *,
    warns: bool = True,
    scale_check: ScaleCheck | None = None,
) -> tuple[InputSchema, Any]:
    """Return the schema, learned from X but for the patches if it is None, and the steps of X, not yet in patches.

    With ``warns``, X that a schema is learned from may get warnings about the scale of features, ids and rows. With
    ``scale_check`` the scale is left to it: it sees the rows, and warns later.
    """
    if schema is not None:
        return schema, schema.read(estimator, X, name)
    own_scale_check, id_check = ScaleCheck(), IdCheck()

    def observe(rows: np.ndarray, features: np.ndarray) -> None:
        (own_scale_check if scale_check is None else scale_check)(rows, features)
        id_check(rows)

    observes = warns or scale_check is not None
    sequences, categories = read_new_sequences(estimator, X, name, observe if observes else None)
    is_table = sequences.form == "rows"
    schema = InputSchema(
        owner=type(estimator).__name__,
        is_table=is_table,
        step_features=sequences.n_features,
        patches=Patches(),
        dtype=sequences.dtype,
        feature_names=None if is_table else getattr(estimator, "feature_names_in_", None),
        categories=categories,
    )
    if warns and categories is None:
        warn_of_readings(estimator, sequences)
    own_scale_check.warn(sequences, schema.owner, names_of_step(estimator, sequences))
    if warns and categories is None:
        id_check.warn(sequences)
    return schema, sequences
