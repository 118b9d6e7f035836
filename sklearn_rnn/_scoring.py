"""The parameter ``scoring``: the validation score after every epoch by any scorer of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._model import Model


def validation_scorer(estimator: Any, model: Model) -> Callable[[Dataset, float], float]:
    """Return a function of validation data, and of their mean loss, that returns the score.

    Parameters
    ----------
    estimator : BaseRNN
        With the parameter ``scoring``, a ``model`` that is being trained, and all fitted attributes. It predicts for
        the scorer.
    model : Model
    """
    if estimator.scoring == "loss":
        return lambda validation, loss: -loss
    from sklearn.metrics import check_scoring  # here: importing it takes longer than all of this package

    scorer = check_scoring(estimator, scoring=estimator.scoring)

    def score(validation: Dataset, loss: float) -> float:
        sequences = validation.sequences.of_data
        y = model.in_form_of(sequences, model.coding.values_of(validation.targets))
        if (validation.weights == 1).all():
            return float(scorer(estimator, sequences, y))
        weights = model.in_form_of(sequences, validation.weights)
        return float(scorer(estimator, sequences, y, sample_weight=weights))

    return score
