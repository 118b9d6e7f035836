"""Occlusion: the output without a value, or without a step, for each value or step in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sklearn_rnn._data.sequences import Sequences
from sklearn_rnn._inference.prediction import predict_scores
from sklearn_rnn._model import Model
from sklearn_rnn._network.blocks import LARGEST_BLOCK, USUAL_BLOCK
from sklearn_rnn._utils.threads import threads
from sklearn_rnn.inspection._explanations.explained_output import ExplainedOutput

# Values of the changed sequences that a thread holds at once, unless USUAL_BLOCK of them have more.
VALUES_AT_ONCE = 2**18


class Part(NamedTuple):
    """Some changes of one sequence.

    Attributes
    ----------
    sequence : int
    places : ndarray of shape (n_changes,), int
        Of the values, among those of all its steps; or of the steps.
    """

    sequence: int
    places: np.ndarray


def occlusion(
    model: Model,
    sequences: Any,
    baseline: Any,
    output: ExplainedOutput,
    outputs: np.ndarray,
    method: str,
    n_jobs: int | None,
) -> np.ndarray:
    """Return by how much each change lowers the output.

    Parameters
    ----------
    model : Model
    sequences, baseline : BaseSequences
        Of equal lengths; not yet in patches.
    output : ExplainedOutput
    outputs : ndarray of shape (n_sequences,)
        Of the sequences without a change.
    method : {"occlusion", "step_occlusion", "step_removal"}
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n_rows, n_features), or (n_rows,) for steps; float64
    """
    weights = model.network.prepare(for_backward=False)
    by_value = method == "occlusion"
    n_places = sequences.n_features if by_value else 1  # of a step
    results = np.zeros((sequences.n_rows, n_places))

    def run_part(part: Part) -> None:
        i, places = part
        rows = sequences.load([i]).rows
        if method == "step_removal":
            changed = _without_steps(rows, places)
        else:
            changed, places = _with_baseline(rows, baseline.load([i]).rows, places, by_value)
        if len(places) == 0:
            return
        lengths = np.full(len(changed), changed.shape[1])
        patched = model.schema.patches.of(Sequences(changed.reshape(-1, rows.shape[1]), lengths, "list"))
        scores = predict_scores(model.network, patched, 1, weights)
        copies = np.full(len(changed), i)
        values = output.values(output.scores_of(scores, lengths, copies), copies)
        of_sequence = results[sequences.starts[i] : sequences.starts[i] + len(rows)]
        of_sequence.ravel()[places] = outputs[i] - values  # a view: the rows of a sequence are contiguous

    with threads(n_jobs) as run:
        list(run(run_part, _parts(sequences, n_places)))
    return results if by_value else results[:, 0]


def _parts(sequences: Any, n_places: int) -> Iterator[Part]:
    """Yield the changes of all sequences, some at a time, by sizes alone."""
    for i, length in enumerate(sequences.lengths.tolist()):
        by_memory = VALUES_AT_ONCE // (length * sequences.n_features)
        n_at_once = min(max(USUAL_BLOCK, by_memory), LARGEST_BLOCK)
        for first in range(0, length * n_places, n_at_once):
            yield Part(i, np.arange(first, min(first + n_at_once, length * n_places)))


def _with_baseline(
    rows: np.ndarray, baseline: np.ndarray, places: np.ndarray, by_value: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of a sequence, (n, n_steps, n_features), each with the baseline at one place, and these places.

    There is no copy for a place where the sequence has the values of the baseline.
    """
    is_other = (rows != baseline).ravel() if by_value else (rows != baseline).any(axis=1)
    places = places[is_other[places]]
    changed = np.repeat(rows[None], len(places), axis=0)
    copies = np.arange(len(places))
    if by_value:
        steps, features = np.divmod(places, rows.shape[1])
        changed[copies, steps, features] = baseline[steps, features]
    else:
        changed[copies, places] = baseline[places]
    return changed, places


def _without_steps(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return copies of a sequence, (n, n_steps - 1, n_features), each without one step."""
    steps = np.arange(len(rows) - 1)
    return rows[steps + (steps >= places[:, None])]
