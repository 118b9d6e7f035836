"""Sphinx configuration. The build needs no internet connection."""

import re

import sklearn_rnn

# :ref:`text <label>` or :term:`text`, possibly broken over two lines
REFERENCE = re.compile(r":(?:ref|term):`([^`<]*?)\s*(?:<[^`]*>)?`")

project = "sklearn_rnn"
author = "the sklearn_rnn developers"
copyright = f"2026, {author}"
release = version = sklearn_rnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# tutorials/ has the sources of a gallery. sphinx-gallery writes its pages to auto_tutorials/.
exclude_patterns = ["_build", "tutorials"]

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_rnn {release}"
html_show_sourcelink = False

autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True}
autodoc_typehints = "none"  # numpydoc's Parameters section says more
numpydoc_show_class_members = False  # autodoc_default_options already shows them

sphinx_gallery_conf = {
    "examples_dirs": ["../examples", "tutorials"],
    "gallery_dirs": ["auto_examples", "auto_tutorials"],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_rnn",),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}


def unlink_references_to_scikit_learn_manual(app, what, name, obj, options, lines):
    """Replace links to scikit-learn's manual, in inherited docstrings, by their text.

    Their labels are unknown here, and a look-up would need an internet connection.
    """
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = REFERENCE.sub(r"\1", "\n".join(lines)).split("\n")


def setup(app):
    app.connect("autodoc-process-docstring", unlink_references_to_scikit_learn_manual)
