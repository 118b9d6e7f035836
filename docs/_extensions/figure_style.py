"""How the gallery's figures look: their text can be read where the page is 390 pixels wide."""

import matplotlib as mpl

# A figure of 6.4 inches is 640 pixels wide. A phone shows it in 358: text of 14 points then is 11 pixels high.
STYLE = {
    "figure.figsize": (6.4, 4.4),
    "figure.constrained_layout.use": True,
    "font.size": 14,
    "axes.titlesize": "medium",
    "legend.fontsize": "small",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "lines.linewidth": 2,
}


def reset(gallery_conf, fname):
    """Set the style; sphinx-gallery calls this before each example, after its own reset of matplotlib."""
    mpl.rcParams.update(STYLE)
