"""Draw the pictures of the landing page, of the README and of the first chapters of the guide.

python docs/draw_images.py [name ...]

``first_model`` comes from a fit, ``speed`` from benchmarks/results/peers.json, ``quality`` from archive_table.inc,
which benchmarks/ucr.py writes. ``network`` and ``choosing`` are drawings. All text stays legible on a phone.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import geometric_mean

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels

DOCS = Path(__file__).parent
ARCHIVE = DOCS / "user_guide" / "archive_table.inc"
PEERS = DOCS.parent / "benchmarks" / "results" / "peers.json"
BLUE, ORANGE, GREEN, GREY = "#1f6fb4", "#e07b1a", "#2b8a3e", "#c3c9d0"
PALE = {BLUE: "#e3eef8", GREEN: "#e3f3e6", GREY: "#f3f4f6"}
WIDTH = 5.2  # inches; a phone shows them in about 350 pixels, so that 12 points are 11 pixels
PLAIN = {"font.size": 12, "axes.titlesize": 12, "axes.spines.top": False, "axes.spines.right": False}


def first_model():
    """Three test utterances, the longest, the shortest and the least sure, and the probabilities of the speakers."""
    X_train, y_train = load_japanese_vowels(subset="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
    classifier = RNNClassifier(random_state=0).fit(X_train, y_train)
    sure, lengths = classifier.predict_proba(X_test).max(axis=1), np.array([len(utterance) for utterance in X_test])
    utterances = lengths.argmax(), lengths.argmin(), sure.argmin()
    longest = lengths.max()

    figure, axes = plt.subplots(3, 2, figsize=(WIDTH, 5), layout="constrained", sharex="col", sharey="col")
    for (left, right), i in zip(axes, utterances):
        left.plot(X_test[i], linewidth=1.2)
        left.set(xlim=(0, longest - 1), yticks=[])
        label = left.annotate(f"{len(X_test[i])} steps", (0.98, 0.95), xycoords="axes fraction", ha="right", va="top")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
        colors = [GREEN if speaker == y_test[i] else GREY for speaker in classifier.classes_]
        right.bar(classifier.classes_, classifier.predict_proba([X_test[i]])[0], color=colors)
        right.set(ylim=(0, 1), yticks=[0, 1], xticks=classifier.classes_)
    axes[0, 0].set_title("A sequence of any length …")
    axes[0, 1].set_title("… and who said it")
    axes[1, 1].set_ylabel("probability")
    axes[-1, 0].set_xlabel("step")
    axes[-1, 1].set_xlabel("speaker (green: right)")
    return figure


def speed():
    """Mean ratios of the time of an update: other packages to this one."""
    rows = [row for row in json.loads(PEERS.read_text())["rows"] if (row["what"], row["dtype"]) == ("train", "float32")]
    cells, packages = ("gru", "lstm", "rnn"), (("torch", "PyTorch", ORANGE), ("jax", "JAX", GREY))
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for k, (key, name, color) in enumerate(packages):
        ratios = [geometric_mean([row["ratios"][key] for row in rows if row["cell"] == cell]) for cell in cells]
        places = np.arange(len(cells)) + 0.36 * k
        bars = ax.barh(places, ratios, height=0.34, color=color, label=name)
        ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.axvline(1, color=BLUE, linewidth=2, label="sklearn_rnn")
    ax.set(yticks=np.arange(len(cells)) + 0.18, yticklabels=[cell.upper() for cell in cells])
    ax.set(title="An update takes … times as long", xticks=[], xlim=(0, None))
    ax.spines["bottom"].set_visible(False)
    ax.invert_yaxis()
    ax.legend(loc="center right", frameon=False)
    return figure


def quality():
    """Mean accuracies on the sets of the UCR archive."""
    cells = re.findall(r"^ +(?:\* )?- ?(.*)$", ARCHIVE.read_text(), re.MULTILINE)
    methods = cells[1 : cells.index("mean accuracy")]
    start = cells.index("mean accuracy") + 1
    accuracies = dict(zip(methods, map(float, cells[start : start + len(methods)])))
    names = {
        "RecurrentFeatures + ridge": "RecurrentFeatures",
        "MiniRocket + ridge": "MiniRocket (aeon)",
        "grid of 12": "RNNClassifier, searched",
        "defaults": "RNNClassifier",
        "1-NN DTW": "1-NN DTW (aeon)",
    }
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    colors = [ORANGE if "aeon" in name else BLUE for name in names.values()]
    bars = ax.barh(list(names.values()), [accuracies[method] for method in names], color=colors, height=0.7)
    ax.bar_label(bars, fmt="%.3f", padding=-44, color="white")
    ax.set(title="Mean accuracy on 15 sets", xticks=[], xlim=(0, 1))
    ax.spines["bottom"].set_visible(False)
    ax.invert_yaxis()
    return figure


def empty_axes(height):
    """Axes in units of inches, without ticks or frame."""
    figure = plt.figure(figsize=(WIDTH, height))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    ax.axis("off")
    return figure, ax


def box(ax, left, bottom, width, height, text, color, **kwargs):
    """A box with centred text."""
    shape = FancyBboxPatch(
        (left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.08", fc=PALE[color], ec=color, lw=1.3
    )
    ax.add_patch(shape)
    ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", linespacing=1.25, **kwargs)


def arrow(ax, start, end):
    """An arrow from one point to another."""
    look = {"arrowstyle": "-|>", "color": "#555", "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=look)


def network():
    """The way of one sequence through a network."""
    figure, ax = empty_axes(4.3)
    for k in range(4):
        left = 0.15 + 1.27 * k
        box(ax, left, 0.4, 1.0, 0.55, f"step {k + 1}", GREY)
        box(ax, left, 1.4, 1.0, 0.55, "state", BLUE)
        arrow(ax, (left + 0.5, 0.95), (left + 0.5, 1.4))
        arrow(ax, (left + 0.5, 1.95), (left + 0.5, 2.4))
        if k:
            arrow(ax, (left - 0.27, 1.68), (left, 1.68))
    ax.text(WIDTH / 2, 0.12, "the features, one step after the other", ha="center", va="center")
    box(ax, 0.15, 2.4, 4.81, 0.55, "readout: last state, mean and maximum", BLUE)
    arrow(ax, (WIDTH / 2, 2.95), (WIDTH / 2, 3.4))
    box(ax, 0.95, 3.4, 3.3, 0.75, "output layer: a linear model\n→ class or number", GREEN)
    return figure


CHOICES = (
    ("Do you need a prediction\nat every step?", 'readout="each"'),
    ("Must it answer while the\nsequence still comes in?", "bidirectional=False,\npatch_size=1,\nthen .stream()"),
    ("Only some hundred sequences,\nor no time?", "RecurrentFeatures\n+ linear model"),
    ("A short event among several\nthousand steps?", "RecurrentFeatures\n+ linear model"),
    ("Do exact values at single\nsteps decide, in 75 or more?", "patch_size=1"),
)


def choosing():
    """The questions that lead to a model."""
    row, height = 1.05, 0.72
    figure, ax = empty_axes(row * len(CHOICES) + 0.85)
    top = row * len(CHOICES) + 0.85 - 0.05
    for k, (question, answer) in enumerate(CHOICES):
        bottom = top - k * row - height
        box(ax, 0.05, bottom, 2.75, height, question, GREY)
        box(ax, 3.35, bottom, 1.8, height, answer, BLUE, fontsize=11.5)
        arrow(ax, (2.8, bottom + height / 2), (3.35, bottom + height / 2))
        ax.text(3.07, bottom + height / 2 + 0.04, "yes", ha="center", va="bottom", fontsize=11)
        arrow(ax, (1.42, bottom), (1.42, bottom - row + height))
        ax.text(1.5, bottom - (row - height) / 2, "no", ha="left", va="center", fontsize=11)
    box(ax, 0.05, top - len(CHOICES) * row - height, 2.75, height, "RNNClassifier()\nRNNRegressor()", GREEN)
    return figure


PICTURES = {draw.__name__: draw for draw in (first_model, speed, quality, network, choosing)}

if __name__ == "__main__":
    plt.switch_backend("Agg")
    with plt.rc_context(PLAIN):
        for name in sys.argv[1:] or PICTURES:
            PICTURES[name]().savefig(DOCS / "images" / f"{name}.png", dpi=200)
