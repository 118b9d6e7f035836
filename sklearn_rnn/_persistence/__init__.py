"""Files of estimators: :func:`save` and :func:`load`, without pickle and without code."""

from __future__ import annotations

import os
from typing import IO, Any

import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_rnn._persistence import checkpoints  # noqa: F401  its files are a place of checkpoints
from sklearn_rnn._persistence.archive import read_archive, write_archive
from sklearn_rnn._persistence.errors import ModelFileError, check
from sklearn_rnn._persistence.estimators import EstimatorWriter, decode_estimator
from sklearn_rnn._persistence.values import Decoder
from sklearn_rnn._utils.files import read_file, write_atomically
from sklearn_rnn._utils.plain import check_names
from sklearn_rnn._utils.state import FORMAT, check_format, package_version, warn_of_version
from sklearn_rnn._utils.warnings import warn_user

__all__ = ["ModelFileError", "load", "save"]

NAMES = {"format", "sklearn_rnn", "scikit-learn", "numpy", "estimator"}


def save(estimator, path, *, with_training=False):
    """Save an estimator, or a pipeline, to a file that holds no code.

    The file is an ``.npz``: a zip archive of NumPy's arrays, and of a header in JSON. It is written under another name
    in the same folder, flushed to the disk, and then renamed: whatever happens, ``path`` is the old file or the new
    one.

    Parameters
    ----------
    estimator : estimator
        A network, a transformer of :mod:`sklearn_rnn.preprocessing`, or a :class:`~sklearn.pipeline.Pipeline` or
        :class:`~sklearn.compose.ColumnTransformer` of these, of scikit-learn's scalers, PCA and linear models. It may
        be fitted or not. Callbacks, and requests of metadata, are not saved.
    path : str or path-like
        Name of the file. It is taken as it is: no extension is added. An existing file is replaced.
    with_training : bool, default=False
        Whether to save the state of training too: the optimizer's averages, the generator of random numbers, and the
        network state of stateful sequences. Then training continues with the same bits. The file is up to three times
        as large. Without it, a loaded network predicts, but does not continue training.

    Raises
    ------
    TypeError
        For a class that files do not hold, and for functions and other objects among the parameters: the message names
        them.
    ValueError
        If weights of a network are not finite, and for anything else that :func:`load` would refuse: the file is read
        back before it gets its name.
    OSError
        If the file cannot be written. An existing file does not change.

    See Also
    --------
    load : Load such a file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import sklearn_rnn
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(20, random_state=0)
    >>> reg = sklearn_rnn.RNNRegressor(4, max_iter=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sines.npz"
    ...     sklearn_rnn.save(reg, path)
    ...     loaded = sklearn_rnn.load(path)
    >>> bool((loaded.predict(X) == reg.predict(X)).all())
    True
    """
    writer = EstimatorWriter(with_training)
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise TypeError(f"estimator={estimator!r} is no estimator: pass a network, a transformer or a pipeline.")
    header = {
        "format": FORMAT,
        "sklearn_rnn": package_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "estimator": writer.encode(estimator, "estimator"),
    }

    def write(file: IO[bytes]) -> None:
        write_archive(file, header, writer.arrays)
        file.seek(0)
        try:
            _load(file.read())  # before it replaces an older file
        except ModelFileError as error:
            raise ValueError(f"estimator cannot be saved, because it could not be loaded again: {error}") from error

    write_atomically(path, write)


def load(path):
    """Load an estimator from a file of :func:`save`.

    No code of the file runs: it has none, and names no module. Every shape, dtype, range and name is checked, and a
    digest finds changed bits. Memory is about twice the size of the file. Nothing in a file
    proves who wrote it: somebody who may change it can change what it predicts.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator : estimator
        It predicts with the same bits, on the same machine and with the same versions.

    Raises
    ------
    ModelFileError
        If the file is damaged, cut off or edited, is none of :func:`save`, or is of a newer format.
    OSError
        If the file cannot be read.

    Warns
    -----
    sklearn.exceptions.InconsistentVersionWarning
        If another version of this package wrote the file, or another version of scikit-learn a file with its classes.

    See Also
    --------
    save : Save an estimator.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> import sklearn_rnn
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(20, random_state=0)
    >>> reg = sklearn_rnn.RNNRegressor(4, max_iter=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "sines.npz")
    ...     sklearn_rnn.save(reg, path)
    ...     loaded = sklearn_rnn.load(path)
    >>> loaded.predict(X).shape
    (20,)
    """
    data = read_file(path)
    try:
        return _load(data)
    except ModelFileError as error:
        raise ModelFileError(f"path={os.fspath(path)!r} cannot be loaded: {error}") from error


def _load(data: bytes) -> Any:
    header, arrays = read_archive(data)
    del data
    check("identity" not in header, "it holds a checkpoint of a training: pass it to fit as checkpoint.")
    try:
        check_format(header.get("format"), str(header.get("sklearn_rnn"))[:60], "it")
        check_names(header, NAMES, "it")
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    written_by = [header["sklearn_rnn"], header["scikit-learn"], header["numpy"]]
    check(all(isinstance(version, str) and len(version) < 100 for version in written_by), "it has no versions.")
    decoder = Decoder(arrays, decode_estimator)
    is_other = header["scikit-learn"] != sklearn.__version__
    try:
        estimator = decode_estimator(header["estimator"], "", decoder)
    except ModelFileError as error:
        if not is_other:
            raise
        versions_differ = (
            f"It was written with scikit-learn {header['scikit-learn']}, and this is {sklearn.__version__}."
        )
        raise ModelFileError(f"{error} {versions_differ}") from error
    check(not decoder.arrays, f"it has the array {min(decoder.arrays, default='')[:60]!r}, which nothing in it names.")
    warn_of_version(header["sklearn_rnn"], type(estimator).__name__)
    if is_other and type(estimator).__module__.startswith("sklearn."):
        warning = InconsistentVersionWarning(
            estimator_name=type(estimator).__name__,
            current_sklearn_version=sklearn.__version__,
            original_sklearn_version=header["scikit-learn"],
        )
        warn_user(warning)
    return estimator
