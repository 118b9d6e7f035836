"""Files of sklearn_rnn.save, changed at random: bits, lengths, the header, the arrays, the archive around them.

The changes below the first three keep the digest right, as somebody would who edits a file on purpose.
"""

import copy
import hashlib
import io
import json
import zipfile
from functools import lru_cache

import numpy as np

N_DIGITS = 64
DEEP = [[]]
for _ in range(200):
    DEEP = [DEEP]
VALUES = [
    None, True, False, -1, 0, 1, 2, 7, 2**31, 2**63, 10**30, 10**500, -0.0, 0.5, 1e308, -1e308, "", "a", "gru",
    "x" * 1000, "\ud800", [], {}, [1, 2], [[1]], ["a"], {"a": 1}, {"$float": "nan"}, {"$float": "inf"},
    {"$array": "array_0"},
    {"$array": "array_1"}, {"$tuple": []}, {"$tuple": ["last", "each"]}, {"$tuple": [1, 2**40]},
    {"$slice": [0, 1, None]},
    {"$dict": [[1, 2]]}, {"$dict": [[[], 2]]}, {"$objects": ["a"], "shape": [1]}, {"$objects": [], "shape": [0, 2**40]},
    {"$code": "import os"}, {"$estimator": {"class": "os", "parameters": {}, "fitted": {}}}, DEEP,
]  # fmt: skip


def with_digest(data):
    """The bytes with the digest of all bytes before it at the end."""
    body = data[:-N_DIGITS]
    return body + hashlib.sha256(body).hexdigest().encode()


def parts_of(data):
    """The header of a file, and its arrays."""
    text, arrays = _parts_of(data)
    return json.loads(text), dict(arrays)


@lru_cache
def _parts_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        arrays = {n: np.load(io.BytesIO(archive.read(n))) for n in archive.namelist() if n.endswith(".npy")}
        return archive.read("header.json"), arrays


def bytes_of(header, members, compression=zipfile.ZIP_STORED):
    """A file of a header (JSON, or text), and members: arrays, or pairs of a name and an array or bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.comment = b"sklearn_rnn sha256 " + b"0" * N_DIGITS
        archive.writestr("header.json", header if isinstance(header, str) else json.dumps(header))
        for name, value in members.items() if isinstance(members, dict) else members:
            if not isinstance(value, bytes):
                member = io.BytesIO()
                np.lib.format.write_array(member, value, allow_pickle=False)
                value = member.getvalue()
            archive.writestr(name, value)
    return with_digest(file.getvalue())


def places_of(tree, path=()):
    """Paths of all values in nested lists and dicts."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places_of(value, (*path, key))


def pick(items, rng):
    return items[int(rng.integers(len(items)))]


# ---- The changes -------------------------------------------------------------------------------------


def flip_bits(data, rng):
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(data, rng):
    return data[: int(rng.integers(len(data)))]


def disorder(data, rng):
    first, last = sorted(int(i) for i in rng.integers(len(data), size=2))
    return pick(
        [data[:first] + data[last:], data[:first] + rng.bytes(40) + data[first:], data[:last] + data[first:]], rng
    )


def flip_bits_and_sign(data, rng):
    return with_digest(flip_bits(data[:-N_DIGITS], rng) + b"0" * N_DIGITS)


def disorder_and_sign(data, rng):
    return with_digest(disorder(data[:-100], rng) + data[-100:])


def edit_header(data, rng):
    header, arrays = parts_of(data)
    for _ in range(int(rng.integers(1, 3))):
        path = pick(list(places_of(header)), rng)
        place = header
        for key in path[:-1]:
            place = place[key]
        action = int(rng.integers(10))
        if action == 0:
            del place[path[-1]]
        elif action == 1 and isinstance(place, dict):
            place[pick(["new", "$new", "kind", "", "max_iter"], rng)] = copy.deepcopy(pick(VALUES, rng))
        elif action == 2:
            other = header
            for key in pick(list(places_of(header)), rng):
                other = other[key]
            place[path[-1]] = copy.deepcopy(other)
        elif action == 3 and isinstance(place[path[-1]], (int, float)):
            place[path[-1]] += pick([1, -1, 0.5, 1000, 2**40], rng)
        else:
            place[path[-1]] = copy.deepcopy(pick(VALUES, rng))
    return bytes_of(header, arrays)


def edit_text(data, rng):
    header, arrays = parts_of(data)
    text = json.dumps(header)
    start = int(rng.integers(len(text)))
    inserted = pick(['"', "{", "}", "[" * 3000, "NaN", "1e999", "9" * 5000, ",", '"format": 1,', "\x00"], rng)
    return bytes_of(text[:start] + inserted + text[start + int(rng.integers(3)) :], arrays)


def edit_array(data, rng):
    header, arrays = parts_of(data)
    name = pick(list(arrays), rng)
    array = arrays[name]
    flat = array.copy().reshape(-1)
    place = int(rng.integers(max(1, flat.size)))
    action = int(rng.integers(8))
    if action == 0 and flat.size and flat.dtype.kind == "f":
        flat[place] = pick([np.nan, np.inf, 1e300 if flat.dtype == np.float64 else 1e30, -1, 0], rng)
        array = flat.reshape(array.shape)
    elif action == 1:
        array = pick([flat[:-1], np.append(flat, flat[:1]), array[np.newaxis], np.zeros((0, 3)), np.zeros(())], rng)
    elif action == 2:
        dtype = pick(["f4", "f8", ">f8", "i8", "U3", "S2", "?", "f2", "c16", "V3"], rng)
        array = np.frombuffer(array.tobytes() + bytes(64), dtype, count=max(1, array.size // 4))
    elif action == 3:
        array = np.asfortranarray(np.atleast_2d(array).repeat(2, axis=0))
    elif action == 4 and flat.dtype.kind in "iu" and flat.size:
        flat[place] = pick([0, 1, 2**31 - 1, -1 if flat.dtype.kind == "i" else 0], rng)
        array = flat.reshape(array.shape)
    elif action == 5:
        del arrays[name]
        return bytes_of(header, arrays)
    elif action == 6:
        array = arrays[pick(list(arrays), rng)]
    else:
        array = flat[::-1].reshape(array.shape)
    return bytes_of(header, arrays | {name: array})


def edit_array_header(data, rng):
    """Shapes and dtypes far from the number of bytes."""
    header, arrays = parts_of(data)
    name = pick(list(arrays), rng)
    shape = pick(
        ["(99999999999,)", "(2305843009213693952, 8)", "(-1,)", "(0, 4611686018427387904)", "()", "('a',)"], rng
    )
    dtype = pick(["<f8", "|O", "<f4", "<U999999999", "|V8", "|b1", "<M8[s]", "nothing"], rng)
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text = pick([text, "(" * 5000, "__import__('os')", text.replace("False", "True")], rng)
    npy = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1") + arrays[name].tobytes()
    return bytes_of(header, arrays | {name: npy})


def edit_archive(data, rng):
    header, arrays = parts_of(data)
    members = list(arrays.items())
    action = int(rng.integers(4))
    if action == 0:  # a name twice
        with np.testing.suppress_warnings() as quiet:
            quiet.filter(UserWarning)
            return bytes_of(header, [*members, members[0]])
    if action == 1:  # a member that unpacks to far more than the file
        zeros = b"\x93NUMPY\x01\x00" + b"\0" * 1_000_000
        return bytes_of(header, [*members[1:], (members[0][0], zeros)], zipfile.ZIP_DEFLATED)
    if action == 2:
        return bytes_of(header, [*members, (pick(["../evil.npy", "other.txt", "array_99.npy", "a/b.npy"], rng), b"x")])
    # Sizes in the central directory.
    end = data.rfind(b"PK\x01\x02")
    changed = bytearray(data)
    changed[end + 20 : end + 28] = pick([b"\xfe\xff\xff\x7f" * 2, b"\x00" * 8, b"\xff" * 8], rng)
    return with_digest(bytes(changed))


UNSIGNED = (flip_bits, cut, disorder)
SIGNED = (
    flip_bits_and_sign,
    disorder_and_sign,
    edit_header,
    edit_header,
    edit_header,
    edit_text,
    edit_array,
    edit_array_header,
    edit_archive,
)
