"""The bytes of a file: an .npz, a zip archive of a JSON header and uncompressed arrays, with a digest of all bytes.

The digest is the archive's comment, and so the end of the file: the SHA-256 of all bytes before it. It finds each
changed bit, in the headers of the archive too, which zip's CRC-32 does not cover. It is no signature: whoever edits a
file can compute it anew. So nothing here trusts it; every size is compared with the number of bytes that are there
before memory is taken for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from typing import IO, Any, NoReturn

import numpy as np

from sklearn_rnn._persistence.errors import ModelFileError, check

HEADER = "header.json"
LABEL = b"sklearn_rnn sha256 "
N_DIGITS = 64
DATE = (1980, 1, 1, 0, 0, 0)  # no time in a file: the same model has the same bytes
# Kinds of dtypes: bool, ints, floats, strings, bytes, times. Never objects, which are pickles.
KINDS = "biufUSMm"
# Digits of an int in the header. Python is slow with very long ones.
LONGEST_INT = 400
LARGEST_CODE_POINT = 0x10FFFF
# Of a member, in version 1.0 of .npy: what write_array writes, and no other Python. NumPy parses it by ast.
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>|][biufUSMm]\d{1,10}(?:\[\d{0,9}[A-Za-z]{1,2}\])?)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:\d{1,19}(?:, \d{1,19})*,?)?)\), \} *\n"
)
# What zipfile raises for archives that are none.
BAD_ARCHIVE = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, KeyError, OverflowError)


# ---- Writing -----------------------------------------------------------------------------------------


def write_archive(file: IO[bytes], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a header, which JSON can hold, and arrays by their names."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = LABEL + b"0" * N_DIGITS
        archive.writestr(zipfile.ZipInfo(HEADER, DATE), json.dumps(header, allow_nan=False, separators=(",", ":")))
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", DATE), "w", force_zip64=array.nbytes > 2**30) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    file.seek(0)
    size = file.seek(0, io.SEEK_END) - N_DIGITS
    digest = _digest_of(file, size)
    file.seek(size)
    file.write(digest)


def _digest_of(file: IO[bytes], size: int) -> bytes:
    """Return the SHA-256 of the first bytes of a file, in hexadecimal digits."""
    sha = hashlib.sha256()
    file.seek(0)
    while size:
        part = file.read(min(size, 2**20))
        sha.update(part)
        size -= len(part)
    return sha.hexdigest().encode()


# ---- Reading -----------------------------------------------------------------------------------------


def read_archive(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a file's bytes."""
    _check_digest(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _read_members(archive, len(data))
    except ModelFileError:
        raise
    except BAD_ARCHIVE as error:
        raise ModelFileError(f"it holds no archive that can be read: {error}.") from error
    check(HEADER in members, f"it has no {HEADER}: it is no file of sklearn_rnn.save.")
    header = _read_header(members.pop(HEADER))
    return header, {name.removesuffix(".npy"): _read_array(member, name) for name, member in members.items()}


def _check_digest(data: bytes) -> None:
    if data[:1] == b"\x80":
        raise ModelFileError("it holds a pickle, no file of sklearn_rnn.save: load it as it was written.")
    end = len(data) - N_DIGITS
    is_ours = data[:2] == b"PK" and end > 0 and data[end - len(LABEL) : end] == LABEL
    check(is_ours, "it holds no file of sklearn_rnn.save, or a part of one: it does not end with a digest.")
    digest = hashlib.sha256(memoryview(data)[:end]).hexdigest().encode()
    check(digest == data[end:], "it holds a damaged file: its bytes have another digest than when it was written.")


def _read_members(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """Return the bytes of all members; refuse compressed ones, repeated names, and more bytes than the file has."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    check(len(set(names)) == len(names), "it has a member twice.")
    for entry in entries:
        is_plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        check(is_plain, f"it has the compressed member {entry.filename[:60]!r}: files of sklearn_rnn.save have none.")
        is_named = entry.filename == HEADER or entry.filename.endswith(".npy")
        check(is_named, f"it has the unknown member {entry.filename[:60]!r}.")
    check(sum(entry.file_size for entry in entries) <= size, "it has members of more bytes than the file.")
    return {entry.filename: archive.read(entry) for entry in entries}


def _read_header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_without_repetition,
            parse_int=_short_int,
            parse_float=_finite_float,
            parse_constant=_refuse_constant,
        )
    except ModelFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"it has a {HEADER} that is no JSON: {error}.") from error
    check(isinstance(header, dict), f"it has a {HEADER} that is no object.")
    return header


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    check(len(result) == len(pairs), f"it has a name twice in an object of {HEADER}.")
    return result


def _short_int(digits: str) -> int:
    check(len(digits) <= LONGEST_INT, f"it has an integer of {len(digits)} digits in {HEADER}.")
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    check(math.isfinite(number), f"it has the number {digits[:60]} in {HEADER}, which is too large.")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ModelFileError(f"it has {name} in {HEADER}, which is no JSON.")


def _read_array(data: bytes, name: str) -> np.ndarray:
    """Return the array of a member, after its header is compared with the number of bytes."""
    start = 10 + int.from_bytes(data[8:10], "little")
    parts = NPY_HEADER.fullmatch(data[10:start]) if data[:8] == NPY_MAGIC and start <= len(data) else None
    if parts is None:
        raise ModelFileError(f"it has {name[:60]!r}, whose header is none that sklearn_rnn.save writes.")
    try:
        dtype = np.dtype(parts["dtype"].decode())
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"it has {name[:60]!r} of an unknown dtype: {error}.") from error
    shape = tuple(int(n) for n in parts["shape"].split(b",") if n.strip())
    check(dtype.itemsize > 0, f"it has {name[:60]!r} of dtype {dtype}, whose items have no bytes.")
    has_size = math.prod(shape) * dtype.itemsize == len(data) - start
    check(has_size and len(shape) <= 8, f"it has {name[:60]!r} of shape {shape}, but other bytes.")
    try:
        array = np.frombuffer(data, dtype, offset=start).reshape(shape) if len(data) > start else np.empty(shape, dtype)
    except (ValueError, OverflowError) as error:
        raise ModelFileError(f"it has {name[:60]!r} of shape {shape}: {error}.") from error
    check(_has_valid_items(array), f"it has {name[:60]!r} with items that are none of {dtype}.")
    return array.astype(dtype.newbyteorder("="))  # a copy, whose memory is aligned and writeable


def _has_valid_items(array: np.ndarray) -> bool:
    """Whether bools are 0 or 1, and strings have characters: NumPy does not check them."""
    flat = array.reshape(-1)
    if array.dtype.kind == "b":
        return bool((flat.view(np.uint8) <= 1).all())
    if array.dtype.kind == "U":
        code_points = flat.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        return bool((code_points <= LARGEST_CODE_POINT).all())
    return True
