"""matplotlib for the tests of displays, without a screen. A module that imports this is skipped without matplotlib."""

import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, of the extra plot, is not installed")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402, F401


def legend_of(ax):
    """The texts of the legend."""
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def overlaps(figure):
    """Pairs of texts, of all axes of a figure, that overlap when it is drawn at its default size."""
    figure.canvas.draw()
    texts = [text for ax in figure.axes for text in texts_of(ax)]
    boxes = [(text.get_text(), text.get_window_extent().shrunk(0.9, 0.9)) for text in texts]  # without their margins
    return [(a, b) for i, (a, box) in enumerate(boxes) for b, other in boxes[:i] if box.overlaps(other)]


def texts_of(ax):
    """All texts of axes that are drawn: labels, the legend, and the labels of ticks within the limits."""
    legend = ax.get_legend()
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts, *([] if legend is None else legend.get_texts())]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        texts += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]
