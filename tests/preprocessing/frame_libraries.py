"""The same frames in pandas, polars and pyarrow."""

import pytest

LIBRARIES = ("pandas", "polars", "pyarrow")
each_library = pytest.mark.parametrize("library", LIBRARIES)


def make_frame(library, columns):
    """A data frame of a library, from a dict of lists; the test is skipped without the library."""
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def as_dict(frame):
    """The columns of a data frame as lists, with None for missing values."""
    if hasattr(frame, "to_pydict"):
        columns = frame.to_pydict()
    elif hasattr(frame, "to_dicts"):
        columns = frame.to_dict(as_series=False)
    else:
        columns = frame.to_dict("list")
    return {
        name: [None if value is None or value != value else value for value in values]
        for name, values in columns.items()
    }
