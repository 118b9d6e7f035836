"""The output that is explained: one number for each sequence, and its derivative with respect to the raw scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_rnn._data.coding import ClassCoding, ValueCoding, plain_labels
from sklearn_rnn._model import Model
from sklearn_rnn._network.network import RecurrentNetwork
from sklearn_rnn._network.readouts import Pool


class ExplainedOutput:
    """One output of each sequence: the score of a class, or a predicted value.

    Parameters
    ----------
    model : Model
    places : ndarray of shape (n_sequences,), int
        For each sequence the index of its class, or of its value.
    steps : ndarray of shape (n_sequences,), int, or None
        The step whose output it is (readout "each"); None: that of the whole sequence.
    """

    def __init__(self, model: Model, places: np.ndarray, steps: np.ndarray | None) -> None:
        self._model, self.places, self.steps = model, places, steps

    @property
    def labels(self) -> np.ndarray:
        """(n_sequences,) the class, or the index of the value."""
        coding = self._model.coding
        return coding.classes[self.places] if isinstance(coding, ClassCoding) else self.places

    def name_of(self, sequence: int) -> str:
        """Return the name of the output of a sequence: "score of 'a'", "log odds of 'a'", "prediction"."""
        coding, place = self._model.coding, int(self.places[sequence])
        if isinstance(coding, ClassCoding):
            label = plain_labels(coding.classes[place : place + 1])[0]
            is_alone = coding.is_multilabel or coding.n_outputs < len(coding.classes)
            name = f"{'log odds' if is_alone else 'score'} of {label!r}"
        else:
            name = "prediction" if coding.n_outputs == 1 else f"prediction {place}"
        return name if self.steps is None else f"{name} at step {self.steps[sequence]}"

    def subset(self, sequences: np.ndarray) -> ExplainedOutput:
        """Return the output of the sequences at these indices, in that order."""
        steps = None if self.steps is None else self.steps[sequences]
        return ExplainedOutput(self._model, self.places[sequences], steps)

    def values(self, scores: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        """Return the output, (n,) in float64, for raw scores (n, n_outputs) of these sequences (n,)."""
        coding, places, scores = self._model.coding, self.places[sequences], scores.astype(np.float64)
        rows = np.arange(len(scores))
        if isinstance(coding, ValueCoding):
            return coding.decode(scores, self._model.link.predict).reshape(scores.shape)[rows, places]
        if coding.n_outputs == len(coding.classes):
            return scores[rows, places]
        return np.where(places == 1, scores[:, 0], -scores[:, 0])  # two classes: one score, the log odds of the second

    def derivative(self, scores: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        """Return the derivative of the output with respect to the raw scores, of the shape and dtype of ``scores``."""
        coding, places = self._model.coding, self.places[sequences]
        d_scores, rows = np.zeros_like(scores), np.arange(len(scores))
        if isinstance(coding, ValueCoding):
            slopes = coding.scale[places]
            if self._model.link.name == "exp":  # y = exp(mean + scale * score): dy / dscore = scale * y
                slopes = slopes * self.values(scores, sequences)
            d_scores[rows, places] = slopes
        elif coding.n_outputs == len(coding.classes):
            d_scores[rows, places] = 1
        else:
            d_scores[:, 0] = np.where(places == 1, 1, -1)
        return d_scores

    def pool(self, network: RecurrentNetwork, lengths: np.ndarray, sequences: np.ndarray) -> Pool:
        """Return the pool whose result the output layer reads, for these sequences of these lengths."""
        if self.steps is not None:
            return OneStepPool(self.steps[sequences], lengths, network.n_hidden, network.dtype)
        pool = network.pool(lengths)
        assert pool is not None
        return pool

    def scores_of(self, scores: np.ndarray, lengths: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        """Return the raw scores, (n, n_outputs), of the output of these sequences, given those of all predictions."""
        if self.steps is None:
            return scores
        return scores[np.cumsum(lengths) - lengths + self.steps[sequences]]


class OneStepPool(Pool):
    """h of one step of each sequence.

    Parameters
    ----------
    steps : ndarray of shape (n_sequences,), int
    """

    def __init__(self, steps: np.ndarray, lengths: np.ndarray, n_units: int, dtype: Any) -> None:
        super().__init__(lengths, n_units, dtype)
        self._steps, self._pooled = steps, np.zeros(self.shape, dtype)

    def add(self, hidden: np.ndarray, packing: Any, first_step: int) -> None:
        rows, sequences = self._rows(packing, first_step)
        self._pooled[sequences] = hidden[rows]

    def finish(self, final_hidden: np.ndarray) -> np.ndarray:
        return self._pooled

    def add_errors(self, errors: np.ndarray, d_pooled: np.ndarray, packing: Any, first_step: int) -> None:
        rows, sequences = self._rows(packing, first_step)
        errors[rows] += d_pooled[sequences]

    def _rows(self, packing: Any, first_step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a window that are such steps, and their sequences."""
        steps = self._steps - first_step
        sequences = np.flatnonzero((steps >= 0) & (steps < packing.n_steps))
        return packing.offsets[steps[sequences]] + sequences, sequences


# ---- The arguments ``output`` and ``step`` -----------------------------------------------------------


def chosen_steps(model: Model, step: Any, lengths: np.ndarray, first: int = 0) -> np.ndarray | None:
    """Return the step of each sequence that the argument ``step`` says, (n_sequences,); None without steps.

    ``first`` is the place in X of the first sequence, for messages.

    Raises
    ------
    ValueError
    """
    if not model.is_per_step:
        if step is not None:
            raise ValueError(
                f"step={step!r} was given, but this {model.schema.owner} predicts once for each sequence: leave step "
                "out. Only with readout='each' does every step have an output."
            )
        return None
    given = np.asarray(-1 if step is None else step)
    if given.dtype.kind not in "iu" or given.shape not in ((), lengths.shape):
        raise ValueError(f"step={step!r} must be an integer, or one for each of the {len(lengths)} sequences.")
    steps = np.broadcast_to(given, lengths.shape)
    outside = np.flatnonzero((steps >= lengths) | (steps < -lengths))
    if len(outside):
        i = outside[0]
        raise ValueError(f"step={steps[i]} does not exist in X[{i + first}], which has {lengths[i]} steps.")
    return np.where(steps < 0, steps + lengths, steps)


def chosen_places(model: Model, output: Any, scores: np.ndarray) -> np.ndarray:
    """Return the index of the class, or of the value, that the argument ``output`` says for each sequence.

    Parameters
    ----------
    model : Model
    output : None, label, int, or array-like of shape (n_sequences,)
        None: the predicted class, or the only value.
    scores : ndarray of shape (n_sequences, n_outputs)
        Raw scores of the predictions.

    Raises
    ------
    ValueError
    """
    coding, owner = model.coding, model.schema.owner
    names: Sequence[Any]
    if isinstance(coding, ClassCoding):
        names, kind = plain_labels(coding.classes), "label" if coding.is_multilabel else "class"
        if output is None and not coding.is_multilabel:
            return coding.codes_of(scores)
    else:
        names, kind = list(range(coding.n_outputs)), "output"
    if output is None:
        if len(names) > 1:
            raise ValueError(f"output is None, but this {owner} has {len(names)} {kind}s: choose one of {names}.")
        output = names[0]
    given = np.asarray(output)
    if given.shape not in ((), (len(scores),)):
        raise ValueError(f"output must be one {kind}, or one for each of the {len(scores)} sequences; it has shape "
                         f"{given.shape}.")  # fmt: skip
    places = {name: place for place, name in enumerate(names)}
    unknown = [label for label in np.unique(given).tolist() if label not in places]
    if unknown:
        raise ValueError(f"output={unknown[0]!r} is no {kind} of this {owner}: choose one of {names}.")
    return np.array([places[label] for label in np.broadcast_to(given, len(scores)).tolist()], np.intp)
