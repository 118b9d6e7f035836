"""Files of checkpoints: the state of a training, in an archive as that of :func:`save`, without code."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from sklearn_rnn._persistence.archive import read_archive, write_archive
from sklearn_rnn._persistence.errors import ModelFileError, check
from sklearn_rnn._persistence.values import Decoder, Encoder
from sklearn_rnn._training.checkpoint import KEEPERS, Keeper, TrainingState
from sklearn_rnn._utils.files import read_file, remove_leftovers, write_atomically
from sklearn_rnn._utils.plain import check_names, from_plain, to_plain
from sklearn_rnn._utils.state import FORMAT, check_format, package_version
from sklearn_rnn._utils.warnings import warn_user
from sklearn_rnn.callbacks._checkpoint import Checkpoint, read_interval

NAMES = {"format", "sklearn_rnn", "identity", "state"}
REMEDY = "Delete it, pass another path, or begin anew with Checkpoint(..., resume=False)."
N_SHOWN = 3  # differences that a message names


class CheckpointFile(Keeper):
    """Keeps the last state of one training in a file.

    Parameters
    ----------
    checkpoint : Checkpoint
    identity : dict of str to str
        What identifies the training. In a folder it gives the file its name.

    Raises
    ------
    ValueError
        If the file is of another training. ModelFileError: if it is none, or damaged.
    OSError
        If the file cannot be read.
    """

    def __init__(self, checkpoint: Checkpoint, identity: dict[str, str]) -> None:
        self._n_epochs, self._seconds = read_interval(checkpoint.every)
        self._identity = identity
        self._has_warned = False
        self.path = os.fspath(checkpoint.path)
        self.place = f"checkpoint={self.path!r}"
        if self.path.endswith(("/", os.sep)) or os.path.isdir(self.path):
            self.path = self._path_in_folder()
            self.place = f"checkpoint={self.path!r}"
        self.earlier = self._read() if checkpoint.resume and os.path.lexists(self.path) else None
        self._has_file = self.earlier is not None
        remove_leftovers(self.path)
        self._last_time = time.monotonic()

    def _path_in_folder(self) -> str:
        with self._naming_the_checkpoint("has a folder that cannot be made"):
            os.makedirs(self.path, exist_ok=True)
        digest = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()[:16]
        return os.path.join(self.path, f"{self._identity['estimator']}-{digest}.npz")

    @contextlib.contextmanager
    def _naming_the_checkpoint(self, problem: str) -> Iterator[None]:
        """Let an OSError begin with the argument's name."""
        try:
            yield
        except OSError as error:
            named = type(error)(f"{self.place} {problem}: {error.strerror or error}. Choose another path.")
            named.errno = error.errno
            raise named from error

    # ---- Reading -------------------------------------------------------------------------------------

    def _read(self) -> TrainingState:
        with self._naming_the_checkpoint("cannot be read"):
            data = read_file(self.path)
        try:
            identity, state = _decode(data)
        except ModelFileError as error:
            raise ModelFileError(f"{self.place} cannot be continued: {error} {REMEDY}") from error
        if identity != self._identity:
            self._refuse(identity)
        return state

    def _refuse(self, identity: dict[str, str]) -> NoReturn:
        names = [name for name in self._identity | identity if identity.get(name) != self._identity.get(name)]
        parts = [f"{n}: {identity.get(n, 'none')} there, {self._identity.get(n, 'none')} here" for n in names]
        shown = "; ".join(parts[:N_SHOWN])
        more = f"; and {len(parts) - N_SHOWN} more" if len(parts) > N_SHOWN else ""
        raise ValueError(
            f"{self.place} belongs to another training ({shown}{more}). {REMEDY} A folder as path has a file for each "
            "training."
        )

    # ---- Writing -------------------------------------------------------------------------------------

    def is_due(self, n_epochs: int | None) -> bool:
        """Whether to write now, after so many epochs of this training; None: inside of an epoch."""
        if self._seconds is not None:
            return time.monotonic() - self._last_time >= self._seconds
        assert self._n_epochs is not None
        return n_epochs is not None and n_epochs % self._n_epochs == 0

    def keep(self, state: TrainingState) -> None:
        """Write the state. If that fails, the file is the earlier one: warn once, and let training go on.

        The first state of a new training is written before it begins. If that fails, it is an error.
        """
        try:
            self._write(state)
        except OSError as error:
            if not self._has_file:
                with self._naming_the_checkpoint("cannot be written"):
                    raise
            self._warn(error)
        self._has_file = True
        self._last_time = time.monotonic()  # after writing: training goes on even on a slow disk

    def _write(self, state: TrainingState) -> None:
        encoder = Encoder(_refuse_estimator)
        header = {
            "format": FORMAT,
            "sklearn_rnn": package_version(),
            "identity": self._identity,
            "state": encoder.encode(to_plain(state), "state"),
        }
        write_atomically(self.path, lambda file: write_archive(file, header, encoder.arrays))

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            warn_user(
                f"{self.place} cannot be written: {error.strerror or error}. The file has an earlier state. Training "
                "goes on, and tries again when the next state is due, without another warning."
            )


def _decode(data: bytes) -> tuple[dict[str, str], Any]:
    """Return the identity and the state of a file's bytes; the state is None if another version wrote it."""
    header, arrays = read_archive(data)
    check("estimator" not in header, "it holds an estimator of sklearn_rnn.save, and no checkpoint.")
    try:
        check_format(header.get("format"), str(header.get("sklearn_rnn"))[:60], "it")
        check_names(header, NAMES, "it")
        identity = header["identity"]
        is_right = isinstance(identity, dict) and all(isinstance(text, str) for text in identity.values())
        check(is_right, "it has no identity.")
        if identity.get("sklearn_rnn") != package_version():
            return identity, None  # refused by its version, whatever it has
        decoder = Decoder(arrays, _refuse_estimator)
        state = from_plain(decoder.decode(header["state"], "state"), ["training_state"], "state")
    except ModelFileError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelFileError(str(error)) from error
    return identity, state


def _refuse_estimator(*_: Any) -> Any:
    raise ModelFileError("it has an estimator inside, but checkpoints have none.")


KEEPERS["file"] = CheckpointFile
