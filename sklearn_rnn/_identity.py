"""What identifies a training: the parameters, the data, the version. With the same, ``fit`` gives the same bits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import scipy

from sklearn_rnn._data.batches import Dataset
from sklearn_rnn._data.training_data import TRAINING, VALIDATION, Known
from sklearn_rnn._utils.plain import RandomBits, as_plain_value, to_plain
from sklearn_rnn._utils.state import package_version

# They change no bit of the result. warm_start does, by the network that training starts from, which is compared.
NEUTRAL = {"n_jobs", "verbose", "memory_budget", "warm_start", "client"}
LONGEST = 200  # characters of a parameter; a longer one is compared by its digest
N_DIGITS = 16


def identity_of(
    estimator: Any, texts: Iterable[str], texts_of_validation: Iterable[str] | None, start: Any = None
) -> dict[str, str]:
    """Return what identifies a training, each part with a text.

    Parameters
    ----------
    estimator : BaseRNN
    texts, texts_of_validation : iterable of three str
        See :func:`texts_of_data`; of the data before anything is held out. None without validation data.
    start : (Model, TrainingSession), or None
        A warm start's.
    """
    parameters = {name: value for name, value in estimator.get_params(deep=False).items() if name not in NEUTRAL}
    identity = {"estimator": type(estimator).__name__, "sklearn_rnn": package_version()}
    if estimator.solver == "lbfgs":
        identity["scipy"] = scipy.__version__  # other versions go other ways
    identity |= {name: _text_of(value) for name, value in sorted(parameters.items())}
    identity["first network"] = "a new one" if start is None else digest_of([to_plain(part) for part in start])
    identity |= dict(zip(TRAINING, texts))
    if texts_of_validation is None:
        return identity | dict.fromkeys(VALIDATION, "none")
    return identity | dict(zip(VALIDATION, texts_of_validation))


def _text_of(value: Any) -> str:
    """Return a text that is the same for equal parameters, in another process too."""
    if isinstance(value, np.random.RandomState):
        return f"a RandomState, digest {digest_of(RandomBits().to_plain(value))}"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(as_plain_value(value)))
    if len(text) <= LONGEST:
        return text
    return f"{text[:20]}..., digest {digest_of(text)}"


def texts_of_data(dataset: Dataset, known: Known) -> Iterator[str]:
    """Yield a text each for X, y and the weights, which says what they are, read by ``known``."""
    sequences = dataset.sequences.of_data
    digest = hashlib.sha256()
    _add(digest, [to_plain(known.schema), sequences.lengths])
    for _, rows in sequences.chunks():
        digest.update(np.ascontiguousarray(rows).data)
    steps = f"{len(sequences)} sequences with {sequences.n_rows} steps"
    yield f"{steps}, digest {digest.hexdigest()[:N_DIGITS]}"
    yield f"digest {digest_of([to_plain(known.coding), dataset.targets])}"
    yield f"digest {digest_of(dataset.weights)}"


def digest_of(value: Any) -> str:
    """Return the first digits of a SHA-256 of nested plain values and arrays."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()[:N_DIGITS]


def _add(digest: Any, value: Any) -> None:
    """Add a value to a digest, with its type and size, so that other values are other bytes."""
    if isinstance(value, dict):
        _add(digest, [part for key in sorted(value, key=str) for part in (key, value[key])])
    elif isinstance(value, (list, tuple)):
        digest.update(b"[%d" % len(value))
        for item in value:
            _add(digest, item)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        _add(digest, f"{value.dtype.str} {value.shape}")
        digest.update(value.tobytes())
    elif isinstance(value, np.ndarray):
        _add(digest, value.tolist())
    else:
        text = f"{type(value).__name__} {value!r}".encode()
        digest.update(b"%d:%b" % (len(text), text))
