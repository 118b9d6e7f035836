"""The parts that all displays share: matplotlib, the axes to draw on, legends, markers."""

from __future__ import annotations

from typing import Any

import numpy as np

# The width in inches of new figures. matplotlib's default, 6.4, makes text too small where a page shows a figure at
# half of its width, as on a phone.
WIDTH = 5.2
# Up to this number of points, each one has a marker: a line through a single point would not be visible.
N_MARKED_POINTS = 50
# A legend above axes has as many columns as fit. Numbers of letters: in an inch, and as wide as a handle.
LETTERS_PER_INCH = 16
LETTERS_OF_HANDLE = 6


def import_pyplot(caller: str) -> Any:
    """Return matplotlib.pyplot; the error names the extra that installs it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{caller} needs matplotlib: pip install "sklearn-rnn[plot]".') from error
    return plt


def axes_to_draw_on(ax: Any, display: object, height: float) -> Any:
    """Return ``ax`` or, if it is None, the axes of a new figure of this height in inches."""
    plt = import_pyplot(f"{type(display).__name__}.plot")
    return plt.subplots(figsize=(WIDTH, height), layout="constrained")[1] if ax is None else ax


def panels_to_draw_on(ax: Any, display: object, names: list[str], height: float) -> np.ndarray:
    """Return one axes for each panel, from top to bottom.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of Axes of shape (n_panels,), or None
        A single axes is divided, as in PartialDependenceDisplay. None: a new figure.
    display : object
    names : list of str
        Names of the panels, for messages.
    height : float
        Of one panel of a new figure, in inches.

    Raises
    ------
    ValueError
        For another number of axes.
    """
    plt = import_pyplot(f"{type(display).__name__}.plot")
    n_panels = len(names)
    if ax is None:
        size = (WIDTH, height * n_panels + 0.4)
        return plt.subplots(n_panels, sharex=True, squeeze=False, figsize=size, layout="constrained")[1][:, 0]
    if isinstance(ax, plt.Axes):
        return np.array([ax]) if n_panels == 1 else _divided(ax, n_panels)
    axes = np.ravel(ax)
    if len(axes) != n_panels:
        raise ValueError(
            f"ax has {len(axes)} axes, but {n_panels} are needed, for {', '.join(names)}: pass one axes for each, or "
            "choose others by panels."
        )
    return axes


def _divided(ax: Any, n_panels: int) -> np.ndarray:
    """Replace axes by panels, one below the other, in its place."""
    # Before matplotlib 3.7, axes outside of a grid had no such method.
    place = ax.get_subplotspec() if hasattr(ax, "get_subplotspec") else None
    if place is None:
        raise ValueError(f"ax has no place in a grid of subplots, so it cannot be divided: pass {n_panels} axes.")
    ax.set_axis_off()
    grid = place.subgridspec(n_panels, 1, hspace=0.4)
    panels = [ax.figure.add_subplot(grid[0])]
    panels += [ax.figure.add_subplot(part, sharex=panels[0]) for part in list(grid)[1:]]
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return np.array(panels)


def line_arguments(line_kw: dict[str, Any] | None) -> dict[str, Any]:
    """Return the caller's arguments for lines by their full names, so that "lw" or "c" replaces our own too."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return normalize_kwargs(line_kw or {}, Line2D)


def marker_for(n_points: int) -> str | None:
    """Return the marker of a line of ``n_points`` points."""
    return "." if n_points <= N_MARKED_POINTS else None


def count_along(axis: Any) -> None:
    """Put ticks at whole numbers only: the axis counts steps or epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def set_log_scale(ax: Any) -> None:
    """Make the vertical axis logarithmic, with few and short labels for any range of the data."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    ax.set_yscale("log")
    lowest, highest = ax.get_ylim()
    ratio = highest / lowest if lowest > 0 else np.inf
    if ratio < 10:  # powers of ten are too rare here
        ax.yaxis.set_major_locator(MaxNLocator(5))
    elif ratio < 50:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        ax.yaxis.set_major_locator(LogLocator())
    ax.yaxis.set_major_formatter("{x:g}" if ratio < 1e4 else power_of_ten)
    ax.yaxis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float, position: int | None = None) -> str:
    """Return the label of a tick at a power of ten: "1e-6". Its exponent, raised, would be too small."""
    return "1" if value == 1 else f"1e{round(np.log10(value))}"


def add_legend(ax: Any, handles: Any = None) -> None:
    """Add a legend above the axes, where it covers nothing; none without labels."""
    if handles is None:
        handles = ax.get_legend_handles_labels()[0]
    if handles:
        n_columns = legend_columns([handle.get_label() for handle in handles], ax.bbox.width / ax.figure.dpi)
        ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=n_columns,
            frameon=False,
            borderaxespad=0.2,
            columnspacing=1.2,
        )


def legend_columns(labels: list[str], width: float) -> int:
    """Return the number of columns of a legend of ``width`` inches, from 1 on."""
    letters = max(map(len, labels)) + LETTERS_OF_HANDLE
    return min(len(labels), max(1, int(width * LETTERS_PER_INCH / letters)))
