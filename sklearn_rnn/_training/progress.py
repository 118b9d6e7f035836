"""What training prints: a header, a line for each epoch, and why training ended."""

from __future__ import annotations

from textwrap import fill

import numpy as np

from sklearn_rnn._data.coding import ClassCoding
from sklearn_rnn._model import Model
from sklearn_rnn._network import kernels
from sklearn_rnn._training.history import Epoch

WIDTH = 80  # of what is printed with verbose=1


class Progress:
    """Prints the progress of training.

    Parameters
    ----------
    verbose : bool or int
        0: nothing. 1: a header, a table with a line for each epoch, and an end, all of at most 80 columns. 2: a long
        line for each epoch.
    header : str
        Lines about data and model; empty for an epoch of ``partial_fit``, which gets a line alone.
    """

    def __init__(self, verbose: bool | int, header: str = "") -> None:
        self._verbose, self._header = int(verbose), header
        self._has_begun = False

    def epoch(self, number: int, epoch: Epoch, seconds: float) -> None:
        """Print the line of an epoch."""
        if self._verbose == 1:
            if self._header and not self._has_begun:
                print(f"{self._header}\n{_columns(epoch)}")
            self._has_begun = True
            print(_row(number, epoch, seconds))
        elif self._verbose > 1:
            print(_line(number, epoch, seconds))

    def note(self, text: str) -> None:
        """Print a sentence before the first epoch."""
        if self._header:
            self._header += f"\n{_wrapped(text)}"
        elif self._verbose:
            print(text)

    def end(self, reason: str) -> None:
        """Print why training ended."""
        if self._verbose == 1 and self._header:
            print(_wrapped(reason) if self._has_begun else f"{self._header}\n{_wrapped(reason)}")


def header_of(model: Model, n_sequences: int, shortest: int, longest: int) -> str:
    """Return two lines: the data, with the steps of the shortest and the longest sequence, and the model."""
    schema, network, coding = model.schema, model.network, model.coding
    steps = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    features = _count(schema.step_features, "feature")
    if schema.categories is not None:
        features += f" ({len(schema.categories.features)} categorical)"
    target = _count(len(coding.classes), "class", "classes") if isinstance(coding, ClassCoding) else "values"
    where = " at every step" if model.is_per_step else ""
    units = ", ".join(str(layer[0].n_units) for layer in network.layers)
    parts = [f"{model.architecture['cell'].upper()} {units}"]
    if network.is_bidirectional:
        parts.append("both directions")
    if schema.patches.size > 1:
        parts.append(f"patches of {schema.patches.size} steps, stride {schema.patches.stride}")
    engine = "NumPy" if kernels.name == "numpy" else f"kernels {kernels.name}"
    parts.append(f"{len(network.parameters.vector):,} weights; {engine}, {network.dtype}")
    data = f"{_count(n_sequences, 'sequence')} of {steps} step{'s' * (longest > 1)}, {features}; "
    return f"{_wrapped(f'{data}target: {target}{where}')}\n{_wrapped(', '.join(parts))}"


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def _columns(epoch: Epoch) -> str:
    validation = "" if epoch.validation_score is None else f"  {'val. loss':>10}  {'val. score':>10}"
    return f"{'epoch':>6}  {'loss':>10}{validation}  {'grad. norm':>10}  {'clipped':>7}  {'seconds':>8}"


def _row(number: int, epoch: Epoch, seconds: float) -> str:
    validation = ""
    if epoch.validation_score is not None:
        validation = f"  {_loss(epoch.validation_loss)}  {epoch.validation_score:10.4f}"
    clipped = epoch.n_clipped / max(1, epoch.n_updates)
    return f"{number:6}  {_loss(epoch.loss)}{validation}  {epoch.gradient_norm:10.2e}  {clipped:7.0%}  {seconds:8.2f}"


def _loss(loss: float | None) -> str:
    assert loss is not None
    return f"{loss:10.6f}" if abs(loss) < 1000 else f"{loss:10.3e}"


def _line(number: int, epoch: Epoch, seconds: float) -> str:
    columns = [f"Epoch {number:4d}", f"loss {epoch.loss:.6f}"]
    if epoch.validation_score is not None:
        columns.append(f"validation score {epoch.validation_score:.4f}")
    columns.append(f"gradient norm {epoch.gradient_norm:.2e}")
    columns.append(f"clipped {epoch.n_clipped / max(1, epoch.n_updates):4.0%}")
    columns.append(f"{seconds:.2f} s")
    return "  ".join(columns)


def best_of(scores: list[float]) -> str:
    """Return the sentence about the best validation score of some epochs."""
    return f" Best validation score: {np.nanmax(scores):.4f}, in epoch {int(np.nanargmax(scores)) + 1}."
