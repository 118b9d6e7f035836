"""Sphinx configuration. Neither the build nor a reader's browser needs an internet connection."""

import sys
from pathlib import Path

import sklearn_rnn

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "sklearn_rnn"
author = "the sklearn_rnn developers"
copyright = f"2026, {author}"
release = version = sklearn_rnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "parameter_groups",
    "public_members",
]
# tutorials/ has the sources of a gallery. sphinx-gallery writes its pages to auto_tutorials/.
exclude_patterns = ["_build", "_templates", "tutorials"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_rnn {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "logo": {
        "text": project,
        "image_light": "_static/logo-light.svg",
        "image_dark": "_static/logo-dark.svg",
        "alt_text": "sklearn_rnn: home",
    },
    "show_toc_level": 2,
}
html_sidebars = {page: [] for page in ("changelog", "index", "install")}  # they have no pages below them
html_context = {"default_mode": "auto"}  # without it the theme writes an error to the console
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section says more
numpydoc_show_class_members = False  # the template of a class's page lists them
maximum_signature_line_length = 60  # longer ones get one parameter a line, which fits a phone
toc_object_entries_show_parents = "hide"

# Neither prompts nor output are copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"

sphinx_gallery_conf = {
    "examples_dirs": ["../examples", "tutorials"],
    "gallery_dirs": ["auto_examples", "auto_tutorials"],
    "within_subsection_order": "gallery_order.GalleryOrder",
    "remove_config_comments": True,  # which picture is the thumbnail
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_rnn",),
    "reset_modules": ("matplotlib", "figure_style.reset"),
    "image_srcset": ["2x"],  # sharp on a phone
    "thumbnail_size": (480, 336),
    "parallel": 2,  # an example uses one core, most of the time
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}
