"""Headings between the parameters of the two estimators, on their pages.

numpydoc has one section "Parameters" and no headings in it: a line between two parameters would be another parameter,
for numpydoc and for scikit-learn's HTML tables. So the docstrings stay as they are, and the headings are put into what
numpydoc made of them.
"""

import re

from sklearn_rnn._documentation import PARAMETER_GROUPS, own_parameters

# A parameter as numpydoc writes it: "    **cell** : {"gru", "lstm", "rnn"}, default="gru"", within the field.
PARAMETER = re.compile(r"^( +)\*\*(\w+)\*\* : ")
OF_THIS_CLASS = "Of this estimator alone"


def first_parameters(cls):
    """Return the heading above each parameter that has one."""
    headings = {re.match(r"\w+", text)[0]: title for title, text in PARAMETER_GROUPS.items()}
    return headings | dict.fromkeys(own_parameters(cls)[:1], OF_THIS_CLASS)


def insert_headings(app, what, name, obj, options, lines):
    """Put the heading of each group above its first parameter. numpydoc has rewritten the docstring before."""
    if what != "class" or own_parameters(obj) is None:
        return
    headings, with_headings = first_parameters(obj), []
    for line in lines:
        match = PARAMETER.match(line)
        title = headings.pop(match[2], None) if match else None
        if title is not None:
            with_headings += [f"{match[1]}.. rubric:: {title}", ""]
        with_headings.append(line)
    if headings:
        raise ValueError(f"The docstring of {name} has no parameter {list(headings)} to put a heading above.")
    lines[:] = with_headings


def setup(app):
    """Run after numpydoc, whose priority is the usual 500."""
    app.connect("autodoc-process-docstring", insert_headings, priority=600)
    return {"parallel_read_safe": True}
