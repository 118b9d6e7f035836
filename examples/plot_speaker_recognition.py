"""
Who is speaking? Grid search over truncation and clipping
=========================================================

Nine men said the Japanese vowels /ae/. The task is to find the speaker of an utterance. Each utterance is a sequence of
7 to 29 steps with 12 coefficients each. The lengths differ, so X is a list of arrays. It needs no padding. This example
is a complete program:

* a pipeline that scales the coefficients and trains a recurrent network,
* a grid search over the number of steps that the error flows back (``truncation``) and the largest norm of the gradient
  (``clip_norm``),
* the accuracy on the test utterances,
* a pickle of the best pipeline, which a new Python process loads and uses.

It runs in less than a minute on two cores.
"""

# %%
# The data
# --------
#
# The package includes the data set, with its authors' split into training and test utterances.

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.preprocessing import TimeDistributed

plt.rc("font", size=13)

X_train, y_train = load_japanese_vowels(subset="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
for name, X, y in (("training", X_train, y_train), ("test", X_test, y_test)):
    lengths = [len(utterance) for utterance in X]
    print(
        f"{len(X)} {name} utterances of {len(np.unique(y))} speakers: {min(lengths)} "
        f"to {max(lengths)} steps of "
        f"{X[0].shape[1]} coefficients"
    )

# %%
# This figure has some utterances: one row per coefficient, time from left to right.

fig, axes = plt.subplots(1, 4, figsize=(7.2, 2.6), sharey=True, layout="constrained")
for ax, i in zip(axes, (0, 1, 30, 31)):
    image = ax.imshow(X_train[i].T, aspect="auto", cmap="RdBu_r", vmin=-2, vmax=2)
    ax.set(title=f"speaker {y_train[i]},\n{len(X_train[i])} steps", xlabel="step")
axes[0].set_ylabel("coefficient")
fig.colorbar(image, ax=axes)
plt.show()

# %%
# Pipeline and grid search
# ------------------------
#
# :class:`~sklearn_rnn.preprocessing.TimeDistributed` fits the scaler on the steps of all utterances together. The
# network is a GRU of 64 units, which predicts from its last state and from the mean and the maximum of all its states.
# With ``truncation=5`` the error flows back within windows of 5 steps only, with ``None`` through all steps. Truncation
# needs a network that reads in one direction, so we set ``bidirectional=False`` for all candidates. ``clip_norm``
# limits the gradient, and ``clip_update``, which is on by default, the steps of Adam. We turn the second off to see the
# first.

pipeline = make_pipeline(
    TimeDistributed(StandardScaler()),
    RNNClassifier(
        bidirectional=False,
        clip_update=None,
        batch_size=32,
        max_iter=40,
        random_state=0,
    ),
)
grid = {
    "rnnclassifier__truncation": [5, 15, None],
    "rnnclassifier__clip_norm": [0.3, 1.0, None],
}
search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2, verbose=2)
search.fit(X_train, y_train)

# %%
# This table has the accuracy on the held-out folds, in percent:

results = search.cv_results_
print("truncation  clip_norm  mean accuracy  std    rank")
for parameters, mean, std, rank in zip(
    results["params"],
    results["mean_test_score"],
    results["std_test_score"],
    results["rank_test_score"],
):
    truncation, clip_norm = (
        parameters["rnnclassifier__truncation"],
        parameters["rnnclassifier__clip_norm"],
    )
    print(
        f"{truncation!s:<12}{clip_norm!s:<11}{100 * mean:<15.1f}{100 * std:<7.1f}{rank}"
    )
print(f"Best: {search.best_params_}")

# %%
# One of the 270 utterances is 0.4 points, and the standard deviations show the differences between the folds. So small
# differences in this table mean little.
#
# The test utterances
# -------------------
#
# ``GridSearchCV`` has trained the best pipeline again, on all training utterances.

best = search.best_estimator_
predictions = best.predict(X_test)
n_right = int(np.sum(predictions == y_test))
print(
    f"Test accuracy {best.score(X_test, y_test):.4f}: {n_right} of {len(y_test)} "
    "utterances are right"
)

# %%

display = ConfusionMatrixDisplay.from_predictions(y_test, predictions, colorbar=False)
display.ax_.set(
    xlabel="predicted speaker", ylabel="true speaker", title="Test utterances"
)
plt.show()

# %%
# The best pipeline recorded the loss of every epoch, and the norms of the gradients before clipping.

classifier = best[-1]
fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
above.semilogy(range(1, classifier.n_iter_ + 1), classifier.loss_curve_)
above.set(xlabel="epoch", ylabel="training loss")
below.semilogy(range(1, classifier.n_iter_ + 1), classifier.gradient_norms_)
below.set(xlabel="epoch", ylabel="mean norm of the gradients")
plt.show()
print(
    f"Share of updates whose gradient was clipped: {classifier.clipped_fraction_:.0%}"
)

# %%
# Save it, load it in another process
# -----------------------------------
#
# The fitted pipeline can be pickled like any other. A new Python process loads it and predicts. The process imports
# only the data set; the pickle imports everything else that it needs.

PREDICT_IN_A_NEW_PROCESS = """
import pickle, sys
from pathlib import Path
from sklearn_rnn.datasets import load_japanese_vowels

pipeline = pickle.loads(Path(sys.argv[1]).read_bytes())
X_test, _ = load_japanese_vowels(subset="test", return_X_y=True)
print(*pipeline.predict(X_test))
"""

with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / "speaker.pickle"
    path.write_bytes(pickle.dumps(best))
    print(f"Pickled: {path.stat().st_size / 1000:.0f} kB")
    process = subprocess.run(
        [sys.executable, "-c", PREDICT_IN_A_NEW_PROCESS, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
predictions_elsewhere = np.array(process.stdout.split(), dtype=int)
assert np.array_equal(predictions_elsewhere, predictions)
print(f"The new process gave the same {len(predictions_elsewhere)} predictions.")
