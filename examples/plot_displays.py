"""
Six pictures of a network
=========================

How did training go? Where is the network wrong? What do its units do? How far back does it learn? What did it look
at? The displays of :mod:`sklearn_rnn.inspection` show this in one line each, in the way of scikit-learn's displays:
``from_estimator`` computes and draws, the display keeps the arrays, and ``plot`` draws them again.
"""

# %%
# A machine is off, idle, or under load, and changes its state every few dozen steps. A sensor measures its vibration.
# The noise of one step says little: idle and loaded machines differ in the *size* of the vibration, so a network must
# look at several steps. Every step has a label (``readout="each"``).

import copy

import matplotlib.pyplot as plt
import numpy as np

from sklearn_rnn import RNNClassifier
from sklearn_rnn.inspection import (
    AttributionDisplay,
    GradientFlowDisplay,
    HiddenStatesDisplay,
    StepPredictionDisplay,
    TrainingCurveDisplay,
    TruncationBiasDisplay,
)

rng = np.random.default_rng(0)
SIZES = {"off": 0.1, "idle": 0.5, "load": 1.5}


def make_machine(n_steps):
    changes = np.cumsum(rng.random(n_steps) < 1 / 30)
    states = rng.choice(list(SIZES), size=changes[-1] + 1)[changes]
    vibration = rng.normal(size=n_steps) * [SIZES[state] for state in states]
    return vibration[:, None], states


X, y = zip(*(make_machine(n_steps) for n_steps in rng.integers(150, 250, size=80)))
X, y = list(X), list(y)
X_train, X_test, y_train, y_test = X[:60], X[60:], y[:60], y[60:]

classifier = RNNClassifier(
    (32,),
    readout="each",
    batch_size=8,
    learning_rate_init=0.01,
    max_iter=20,
    random_state=0,
)
classifier.fit(X_train, y_train, X_val=X_test, y_val=y_test)

# %%
# Training
# --------
#
# :class:`~sklearn_rnn.inspection.TrainingCurveDisplay` shows three things. A validation loss that rises while the
# training loss falls means overfitting. The score has the unit that you know, here the accuracy. Gradients far above
# the threshold, in all epochs, mean that ``clip_norm`` decides the size of the steps, and not the loss.

TrainingCurveDisplay.from_estimator(classifier, score_name="accuracy")
plt.show()

print(f"accuracy of all test steps: {classifier.validation_scores_[-1]:.3f}")
assert classifier.validation_scores_[-1] > 0.9

# %%
# Predictions
# -----------
#
# :class:`~sklearn_rnn.inspection.StepPredictionDisplay` shows one sequence: the true classes, the predicted classes,
# and in black the steps where they differ. Here the network is late after a change, because it needs some steps to see
# it.

StepPredictionDisplay.from_estimator(classifier, X_test, y_test, index=0)
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# Hidden states
# -------------
#
# :class:`~sklearn_rnn.inspection.HiddenStatesDisplay` shows what the units do along the same sequence. Similar units
# are side by side. One sees groups of units that have large values as long as the machine is under load.

HiddenStatesDisplay.from_estimator(classifier, X_test, index=0)
plt.show()

# %%
# Gradients
# ---------
#
# :class:`~sklearn_rnn.inspection.GradientFlowDisplay` follows the error of the last step back through the steps. It
# takes several estimators, here copies of one classifier after 1, 5 and 20 epochs. On the logarithmic axis a straight
# line means the same factor at every step. Of the error, about a thousandth is left after 50 steps: the network
# learns from a few dozen steps, which is enough for this task.

epochs, trained = (
    {},
    RNNClassifier(
        (32,), readout="each", batch_size=8, learning_rate_init=0.01, random_state=0
    ),
)
for epoch in range(1, 21):
    trained.partial_fit(X_train, y_train, classes=list(SIZES))
    if epoch in (1, 5, 20):
        epochs[f"epoch {epoch}"] = copy.deepcopy(trained)
GradientFlowDisplay.from_estimators(epochs, X_test, y_test)
plt.show()

# %%
# :class:`~sklearn_rnn.inspection.TruncationBiasDisplay` says how many steps truncated backpropagation needs: how far
# its gradient (of all steps' losses) is from the full gradient.

bias = TruncationBiasDisplay.from_estimator(classifier, X_test, y_test)
plt.show()

print(dict(zip(bias.truncations.tolist(), bias.relative_bias.round(2).tolist())))

# %%
# Explanations
# ------------
#
# :class:`~sklearn_rnn.inspection.AttributionDisplay` shows which values made a prediction, here that of step 110 of the
# first sequence. Red values raised the score of the class, blue ones lowered it. Only the last few steps counted. Later
# steps have no part, because this network reads forward only.

AttributionDisplay.from_estimator(
    classifier, X_test, index=0, step=110, feature_names=["vibration"]
)
plt.show()

# %%
# Every display takes ``ax``, and can be drawn again. So pictures stand side by side:

fig, axes = plt.subplots(3, 1, figsize=(6, 6), layout="constrained")
for ax, i in zip(axes, (1, 2, 3)):
    StepPredictionDisplay.from_estimator(classifier, X_test, y_test, index=i, ax=ax)
plt.show()
