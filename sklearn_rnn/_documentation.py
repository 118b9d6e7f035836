"""The documentation that both estimators share, written once."""

from __future__ import annotations

import textwrap

PARAMETERS = """\
TODO
"""
ATTRIBUTES = "TODO"
REFERENCES = "TODO"


def document_rnn(cls):
    """Fill ``{parameters}``, ``{attributes}`` and ``{references}`` of a class's docstring."""
    shared = {"parameters": PARAMETERS, "attributes": ATTRIBUTES, "references": REFERENCES}
    indented = {name: textwrap.indent(text, "    ").strip() for name, text in shared.items()}
    if cls.__doc__ is not None:  # it is under python -OO
        cls.__doc__ = cls.__doc__.format(**indented)
    return cls
