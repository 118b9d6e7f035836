"""The order of the steps of a sequence: by numbers, times, ordered categories, or text that has an order."""

from __future__ import annotations

import re

import numpy as np

from sklearn_rnn.preprocessing._tables import ordered_codes

WHOLE_NUMBER = re.compile("[+-]?[0-9]+")
ISO_DATE = re.compile("[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?)?)?")


def sortable(table, column, values):
    """Return an array that NumPy sorts as the user means a column and its values.

    Ordered categories have their order. Text is read as whole numbers or ISO dates, or refused.
    """
    codes = ordered_codes(table, column)
    if codes is not None:
        return codes
    if values.dtype.kind in "US" or (values.dtype == object and any(isinstance(value, str) for value in values)):
        return _order_of_text(values, column)
    if values.dtype != object:
        return values
    try:
        return np.unique(values, return_inverse=True)[1]
    except TypeError as error:
        raise TypeError(f"order={column!r} cannot be sorted: {error}.") from error


def _order_of_text(values, column):
    """Return the ranks of text: whole numbers alone, or ISO dates alone."""
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None:
        raise TypeError(
            f"order={column!r} holds text and other values, such as {shown(wrong)}: convert it to one type."
        )
    texts, places = np.unique(values.astype(str), return_inverse=True)
    if all(map(WHOLE_NUMBER.fullmatch, texts)):
        keys = np.array([int(text) for text in texts], dtype=object)
    else:
        keys = _keys_of_dates(texts, column)
    return np.unique(keys, return_inverse=True)[1][places]


def _keys_of_dates(texts, column):
    """Return text whose alphabetical order is that of ISO dates, with seconds of any number of decimals."""
    no_date = [text for text in texts if not ISO_DATE.fullmatch(text)]
    wrong = next((text for text in no_date if not WHOLE_NUMBER.fullmatch(text)), no_date[0] if no_date else None)
    keys = []
    for text in texts if wrong is None else ():
        second, _, decimals = text.partition(".")
        try:
            keys.append(f"{np.datetime64(second, 's')}.{decimals.rstrip('0')}")
        except ValueError:  # the 30th of February
            wrong = text
    if wrong is not None:
        raise TypeError(
            f"order={column!r} holds text such as {shown(wrong)}, which is no ISO date: its alphabetical order may "
            "not be the order of the steps. Convert it to numbers or times first, for instance with pandas.to_numeric "
            "or pandas.to_datetime, or to ordered categories."
        )
    return np.array(keys)


def shown(value):
    """Return the repr of a value, without NumPy's type."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value)
    return repr(value.item() if isinstance(value, np.generic) else value)
