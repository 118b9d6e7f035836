"""
It does not learn: find out why
===============================

A network was put together from settings found here and there, and it learns nothing. Is it the data, the learning rate,
or the network? :func:`~sklearn_rnn.inspection.diagnose` looks at the fitted network and says what it finds, with a
number and with what to try. Here it leads, one step after the other, from chance to all right.
"""

# %%
# The task
# --------
#
# A pressure, in pascals, is measured 120 times. In its first quarter it rises for a moment, or it falls. Which one is
# it? One sees the answer at once, so a network must find it too.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.inspection import TrainingCurveDisplay, diagnose
from sklearn_rnn.preprocessing import TimeDistributed

plt.rc("font", size=13)


def pressures(n, seed):
    rng = np.random.default_rng(seed)
    rises = rng.integers(2, size=n)
    X = 101_300 + 60 * rng.normal(size=(n, 120, 1))
    for x, start, sign in zip(X, rng.integers(5, 20, size=n), 2 * rises - 1):
        x[start : start + 12, 0] += 200 * sign * np.hanning(12)
    return X, np.where(rises, "rises", "falls")


X, y = pressures(400, seed=0)
X_val, y_val = pressures(200, seed=1)

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for value, color in (("rises", "C3"), ("falls", "C0")):
    ax.plot(
        X[np.flatnonzero(y == value)[0], :, 0], color=color, linewidth=2, label=value
    )
ax.set_xlabel("step")
ax.set_ylabel("pressure (Pa)")
ax.legend()
plt.show()

# %%
# The first fit
# -------------

attempts = {}


def attempt(name, settings):
    """Fit a network, keep it, and print its score and the findings."""
    network = RNNClassifier(**settings, max_iter=15, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network.fit(X, y, X_val=X_val, y_val=y_val)
    for warning in caught:
        print("fit warns:", warning.message, end="\n\n")
    on_training, on_validation = network.score(X, y), network.validation_scores_[-1]
    print(
        f"{name}: accuracy on training data {on_training:.2f}, on validation data "
        f"{on_validation:.2f}",
        end="\n\n",
    )
    print(diagnose(network, X, y))
    attempts[name] = network


settings = {
    "hidden_layer_sizes": (32,),
    "cell": "rnn",
    "bidirectional": False,
    "readout": "last",
    "patch_size": 1,
    "normalize_features": False,
    "solver": "sgd",
    "learning_rate_init": 0.001,
    "clip_norm": 0.1,
}
attempt("1 as found", settings)

# %%
# The accuracy is that of a coin. Begin with the first finding: the others may follow from it. The network reads 101,300
# where it expects numbers near 1. So all of its units are at their limits, whatever the pressure does, and nothing can
# flow back through them.
#
# Units
# -----
#
# The warning names the remedy. (``normalize_features``, which the settings turn off, would do it within the network.)

scaler = TimeDistributed(StandardScaler())
X, X_val = scaler.fit_transform(X), scaler.transform(X_val)
attempt("2 features in scale", settings)

# %%
# Five findings are gone, and one is new. Every gradient is longer than 0.1, and is cut to this length. With the small
# learning rate each update is then a tiny step. The training curve shows it too: the loss hardly moves, and the norms
# lie above the limit all the time.

TrainingCurveDisplay.from_estimator(
    attempts["2 features in scale"], score_name="accuracy"
)
plt.show()

# %%
# Steps
# -----
#
# The defaults again: Adam, and a limit that only prevents accidents.

settings |= {"solver": "adam", "learning_rate_init": 0.003, "clip_norm": "auto"}
attempt("3 larger steps", settings)

# %%
# No findings, and still of no use: a diagnosis knows the network, but not the task. The network learns a little of the
# training data, and nothing that holds elsewhere. What decides is at the start, but it predicts from its state at the
# end, a hundred steps later. What it fits there is noise. The simple cell forgets, so we take the GRU.
#
# Memory
# ------

settings["cell"] = "gru"
attempt("4 a cell with gates", settings)

# %%
# This finding names the cause: what happened so many steps before has no influence on the weights. A cell with gates
# *can* keep something for long, but it must first learn to, and the gradient does not tell it. The last advice makes
# the way short: the mean and the maximum of all states reach the output layer, so every step is one step away from it.

settings["readout"] = ("last", "mean", "max")
attempt("5 readout of all steps", settings)

# %%
# All attempts
# ------------

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, network in attempts.items():
    ax.plot(range(1, 16), network.validation_loss_curve_, linewidth=3, label=name)
ax.set_xlabel("epoch")
ax.set_ylabel("validation loss")
ax.set_ylim(0, 0.95)
ax.legend(loc="upper center", ncols=2)
plt.show()
# sphinx_gallery_thumbnail_number = 3

# %%
# The order matters: first the units of the data, then the size of the steps, then the way of the gradient. And the
# defaults had all of it. If a network does not learn, go back to them first:

print(
    "defaults: "
    f"{RNNClassifier(max_iter=15, random_state=0).fit(X, y).score(X_val, y_val):.2f}"
)
