"""Values in the header: JSON, with a tag where JSON has no form of its own.

A tag is an object with one name that begins with $: ``{"$tuple": [...]}``, ``{"$array": "array_3"}``.
"""

from __future__ import annotations

import math
import os
from collections import UserList
from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_rnn._persistence.archive import KINDS
from sklearn_rnn._persistence.errors import ModelFileError, check
from sklearn_rnn._utils.plain import RandomBits

TAG = "$"
DEEPEST = 60  # nested values
FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Encoder:
    """Turns values into JSON and arrays.

    Parameters
    ----------
    encode_estimator : callable
        From an estimator, and its place, to JSON.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Those of all values so far, by their names.
    """

    def __init__(self, encode_estimator: Callable[[Any, str], Any]) -> None:
        self._encode_estimator = encode_estimator
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any, place: str) -> Any:
        """Return JSON for a value; ``place`` is where it stands, for messages.

        Raises
        ------
        TypeError
            For a value that a file cannot hold, such as a function.
        """
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return str(value) if isinstance(value, np.str_) else value
        if isinstance(value, np.generic):
            return self.encode(value.item(), place) if value.dtype.kind in "biufU" else self._refuse(value, place)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": str(float(value))}
        if isinstance(value, np.ndarray):
            return self._encode_array(value, place)
        if isinstance(value, UserList):  # columns of the remainder, in a ColumnTransformer of scikit-learn 1.6
            value = value.data
        if type(value) is list:
            return self._encode_all(value, place)
        if type(value) is tuple:
            return {"$tuple": self._encode_all(value, place)}
        if isinstance(value, dict):
            return self._encode_dict(value, place)
        if isinstance(value, slice):
            return {"$slice": self._encode_all((value.start, value.stop, value.step), place)}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self.encode(RandomBits().to_plain(value), place)}
        if isinstance(value, os.PathLike):
            return self.encode(os.fspath(value), place)
        if hasattr(value, "get_params") and not isinstance(value, type):
            return {"$estimator": self._encode_estimator(value, place)}
        return self._refuse(value, place)

    def _refuse(self, value: Any, place: str) -> Any:
        what = "a function" if callable(value) else f"of type {type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(
            f"{place} is {what}, but a file of sklearn_rnn.save holds plain values and no code: set it to a name or to "
            "None before saving, or use joblib.dump."
        )

    def _encode_all(self, values: Any, place: str) -> list[Any]:
        return [self.encode(value, f"{place}[{i}]") for i, value in enumerate(values)]

    def _encode_dict(self, value: dict[Any, Any], place: str) -> Any:
        if all(type(key) is str and not key.startswith(TAG) for key in value):
            return {key: self.encode(item, f"{place}.{key}") for key, item in value.items()}
        items = [[self.encode(key, place), self.encode(item, f"{place}[{key!r}]")] for key, item in value.items()]
        return {"$dict": items}

    def _encode_array(self, value: np.ndarray, place: str) -> Any:
        if value.dtype.kind in "OT":
            return {"$objects": self._encode_all(value.ravel().tolist(), place), "shape": list(value.shape)}
        if value.dtype.kind not in KINDS:
            return self._refuse(value, place)
        if value.dtype.itemsize == 0:  # strings without a character
            value = value.astype(f"{value.dtype.kind}1")
        name = f"array_{len(self.arrays)}"
        self.arrays[name] = np.asarray(value)
        return {"$array": name}


class Decoder:
    """Turns JSON and arrays into values.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Each is taken once.
    decode_estimator : callable
        From JSON, its place and this decoder to an estimator.
    """

    def __init__(self, arrays: dict[str, np.ndarray], decode_estimator: Callable[[Any, str, Decoder], Any]) -> None:
        self.arrays, self._decode_estimator = dict(arrays), decode_estimator
        self._depth = 0

    def decode(self, tree: Any, place: str) -> Any:
        """Return the value of JSON."""
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return tree
        self._depth += 1
        check(self._depth <= DEEPEST, f"{place} has values in values, deeper than {DEEPEST}.")
        value = self._decode_all(tree, place) if isinstance(tree, list) else self._decode_object(tree, place)
        self._depth -= 1
        return value

    def _decode_all(self, tree: Any, place: str) -> list[Any]:
        check(isinstance(tree, list), f"{place} must be a list.")
        return [self.decode(item, f"{place}[{i}]") for i, item in enumerate(tree)]

    def _decode_object(self, tree: dict[str, Any], place: str) -> Any:
        tags = [key for key in tree if key.startswith(TAG)]
        if not tags:
            return {key: self.decode(item, f"{place}.{key}") for key, item in tree.items()}
        tag = tags[0]
        others = {"shape"} if tag == "$objects" else set()
        check(tree.keys() == {tag} | others and tag in _DECODERS, f"{place} has the unknown tag {tag[:60]!r}.")
        return _DECODERS[tag](self, tree, tree[tag], place)

    def _tuple(self, tree: Any, content: Any, place: str) -> tuple[Any, ...]:
        return tuple(self._decode_all(content, place))

    def _dict(self, tree: Any, content: Any, place: str) -> dict[Any, Any]:
        result = {}
        for pair in self._decode_all(content, place):
            is_pair = isinstance(pair, list) and len(pair) == 2
            check(is_pair and isinstance(pair[0], (bool, int, float, str, type(None))), f"{place} has no plain keys.")
            result[pair[0]] = pair[1]
        return result

    def _slice(self, tree: Any, content: Any, place: str) -> slice:
        ends = self._decode_all(content, place)
        is_right = len(ends) == 3 and all(end is None or isinstance(end, (int, str)) for end in ends)
        check(is_right, f"{place} is no slice.")
        return slice(*ends)

    def _float(self, tree: Any, content: Any, place: str) -> float:
        check(isinstance(content, str) and content in FLOATS, f"{place} is no number.")
        return FLOATS[content]

    def _array(self, tree: Any, content: Any, place: str) -> np.ndarray:
        check(isinstance(content, str) and content in self.arrays, f"{place} has no array, or that of another place.")
        return self.arrays.pop(content)

    def _objects(self, tree: Any, content: Any, place: str) -> np.ndarray:
        items, shape = self._decode_all(content, place), tree["shape"]
        is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape) and len(shape) <= 8
        check(is_shape and math.prod(shape) == len(items), f"{place} has no shape of {len(items)} items.")
        is_plain = all(item is None or isinstance(item, (bool, int, float, str)) for item in items)
        check(is_plain, f"{place} has items that are no labels.")
        array = np.empty(len(items), object)
        array[:] = items
        try:
            return array.reshape(shape)
        except (ValueError, OverflowError) as error:
            raise ModelFileError(f"{place} has the shape {shape}: {error}.") from error

    def _random_state(self, tree: Any, content: Any, place: str) -> np.random.RandomState:
        try:
            return RandomBits().from_plain(self.decode(content, place), place, True)
        except ModelFileError:
            raise
        except ValueError as error:
            raise ModelFileError(str(error)) from error

    def _estimator(self, tree: Any, content: Any, place: str) -> Any:
        return self._decode_estimator(content, place, self)


_DECODERS: dict[str, Callable[[Decoder, Any, Any, str], Any]] = {
    "$tuple": Decoder._tuple,
    "$dict": Decoder._dict,
    "$slice": Decoder._slice,
    "$float": Decoder._float,
    "$array": Decoder._array,
    "$objects": Decoder._objects,
    "$random_state": Decoder._random_state,
    "$estimator": Decoder._estimator,
}
