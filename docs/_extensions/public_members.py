"""Which members of a class its page describes: those that this package defines.

The templates in _templates/autosummary list what remains. The methods that scikit-learn's base classes add are the
same in every estimator, and scikit-learn describes them.
"""

import inspect
import re

# :ref:`text <label>` or :term:`text`, possibly broken over two lines
REFERENCE = re.compile(r":(?:ref|term):`([^`<]*?)\s*(?:<[^`]*>)?`")
METADATA_ROUTING = re.compile(r"set_\w+_request|get_metadata_routing")


def skip_members_of_other_packages(app, what, name, obj, skip, options):
    """Skip what this package does not define, and the methods of scikit-learn's metadata routing."""
    function = inspect.unwrap(obj.fget if isinstance(obj, property) else obj)
    is_ours = (getattr(function, "__module__", None) or "").startswith("sklearn_rnn")
    if METADATA_ROUTING.fullmatch(name) or not is_ours:
        return True
    return None  # as autodoc decides: private members are skipped


def unlink_references_to_scikit_learn_manual(app, what, name, obj, options, lines):
    """Replace links to scikit-learn's manual, in inherited docstrings, by their text.

    Their labels are unknown here, and a look-up would need an internet connection.
    """
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = REFERENCE.sub(r"\1", "\n".join(lines)).split("\n")


def setup(app):
    """Connect both to autodoc and autosummary."""
    app.connect("autodoc-skip-member", skip_members_of_other_packages)
    app.connect("autodoc-process-docstring", unlink_references_to_scikit_learn_manual)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
