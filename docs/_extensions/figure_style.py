"""How the gallery's figures look: their text can be read where the page is 390 pixels wide."""

import matplotlib as mpl

# A phone shows a figure of 6.4 inches, 640 pixels, in 358: text of 12 points then is 9 pixels high. docs/check_pages.py
# reports figures of more than 7.2 inches.
STYLE = {
    "figure.figsize": (6.4, 4),
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 12,
    "legend.fontsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
}


def reset(gallery_conf, fname):
    """Set the style; sphinx-gallery calls this before each example, after its own reset of matplotlib."""
    mpl.rcParams.update(STYLE)
