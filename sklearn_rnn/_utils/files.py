"""Whole files or none: written under another name, flushed to the disk, and then renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

# Seconds after which a file that nobody renamed is one of a process that was killed.
AGE_OF_LEFTOVERS = 3600


def write_atomically(path: Any, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file so that, whenever the process or the machine stops, the old file is there, or the new one.

    Parameters
    ----------
    path : str or path-like
    write : callable
        Writes to the open file that it is given, which can be read and sought too.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_mode_of(target))
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _flush_folder(target.parent)


def remove_leftovers(path: Any) -> None:
    """Remove what processes left that were killed while they wrote this file, an hour ago or earlier."""
    target = Path(os.path.realpath(path))
    for file in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with contextlib.suppress(OSError):  # another process was faster, or may do it and this one may not
            if time.time() - file.stat().st_mtime > AGE_OF_LEFTOVERS:
                file.unlink()


def _mode_of(target: Path) -> int:
    """Return the permissions of the file that is replaced; of a new file, those that ``open`` would give."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    """Flush the new name to the disk. Windows flushes names itself, and opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Any) -> bytes:
    """Return the bytes of a regular file; a pipe or a device might never end."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno())
        if not stat.S_ISREG(size.st_mode):
            raise OSError(f"path={os.fspath(path)!r} is no regular file.")
        return file.read(size.st_size)
