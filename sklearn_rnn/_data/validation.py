"""Validation data: those of the user, and those that early stopping sets aside."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.coding import ClassCoding, ValueCoding
from sklearn_rnn._data.target_readers import TargetReader
from sklearn_rnn._data.training_data import VALIDATION, Known, read_training_data

INSTEAD = "pass X_val and y_val, or set early_stopping=False"


def read_validation_data(
    estimator: Any, data: tuple[Any, Any, Any], reader: TargetReader, known: Known
) -> Dataset | None:
    """Check (X_val, y_val, sample_weight_val); return None if all of them are."""
    X_val, y_val, _ = data
    if X_val is not None and y_val is not None:
        dataset = read_training_data(estimator, *data, reader, known=known, names=VALIDATION)[1]
        if estimator.early_stopping and isinstance(known.coding, ValueCoding) and np.count_nonzero(dataset.weights) < 2:
            raise ValueError(
                f"X_val has one {'step' if reader.per_step else 'sequence'} to validate on (weights of 0 and unknown "
                "targets do not count), but early_stopping=True needs two for R^2: pass more, or set "
                "early_stopping=False."
            )
        return dataset
    for name, value in zip(VALIDATION, data):
        if value is not None:
            raise ValueError(f"{name} was given alone: X_val and y_val go together.")
    return None


def hold_out(
    dataset: Dataset, coding: ClassCoding | ValueCoding, fraction: float, random_state: np.random.RandomState
) -> tuple[Dataset, Dataset]:
    """Split off a fraction of the sequences to validate on, by class where each sequence has one.

    All sequences of the dataset have weight.
    """
    from sklearn.model_selection import train_test_split  # here: importing it takes longer than all of this package

    strata = None if dataset.per_step else coding.strata(dataset.targets)
    n_held_out = int(np.ceil(fraction * len(dataset)))  # as train_test_split rounds
    _check_sizes(len(dataset), n_held_out, fraction)
    if strata is not None:
        assert isinstance(coding, ClassCoding)
        _check_classes(strata, coding.classes, n_held_out, fraction)
    training, held_out = train_test_split(
        np.arange(len(dataset)), test_size=fraction, random_state=random_state, stratify=strata
    )
    parts = dataset.subset(training), dataset.subset(held_out)
    if np.count_nonzero(parts[1].weights) < 2:
        raise ValueError(
            f"validation_fraction={fraction} of {len(dataset)} sequences leaves one to validate on: raise it, or "
            f"{INSTEAD}."
        )
    return parts


def _check_sizes(n_sequences: int, n_held_out: int, fraction: float) -> None:
    """Refuse a split that leaves nothing to train on."""
    if n_held_out >= n_sequences:
        raise ValueError(
            f"validation_fraction={fraction} of {n_sequences} sequence{'s' * (n_sequences > 1)} leaves none to train "
            f"on: lower it, or {INSTEAD}."
        )


def _check_classes(codes: np.ndarray, classes: np.ndarray, n_held_out: int, fraction: float) -> None:
    """Refuse a split that cannot have every class in both of its parts; ``codes`` are the sequences' classes."""
    present, counts = np.unique(codes, return_counts=True)
    if counts.min() < 2:
        label = classes[present[counts.argmin()]]
        raise ValueError(
            f"y has only one sequence of class {np.array(label).tolist()!r}, but early_stopping=True needs two of "
            f"every class, one to train on and one to validate on: pass more sequences of it, {INSTEAD}."
        )
    n_sequences, n_classes = len(codes), len(present)
    sides = {"validate": (n_held_out, "raise"), "train": (n_sequences - n_held_out, "lower")}
    for purpose, (n, change) in sides.items():
        if n < n_classes:
            raise ValueError(
                f"validation_fraction={fraction} of {n_sequences} sequences leaves {'one' if n == 1 else n} to "
                f"{purpose} on, but y has {n_classes} classes: {change} it, {INSTEAD}."
            )
