"""
Features or BPTT?
=================

There are two ways to a classifier of sequences. :class:`~sklearn_rnn.RNNClassifier` trains a recurrent network by
backpropagation through time (BPTT). :class:`~sklearn_rnn.preprocessing.RecurrentFeatures` draws recurrent layers, does
not train them, and makes a table with a row for each sequence; a linear model learns from the table.

This example compares both on the Japanese vowels: from few and from many utterances, which of nine men is speaking?
"""

# %%
# Two pipelines
# -------------
#
# Both take the list of arrays as it is. The features are standardised, because a ridge penalty treats all columns
# alike.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.datasets import load_japanese_vowels
from sklearn_rnn.preprocessing import RecurrentFeatures, TimeDistributed

plt.rc("font", size=13)

X, y = load_japanese_vowels(subset="train", return_X_y=True)
X_test, y_test = load_japanese_vowels(subset="test", return_X_y=True)
models = {
    "features": make_pipeline(
        RecurrentFeatures(random_state=0),
        StandardScaler(),
        RidgeClassifierCV(np.logspace(-2, 5, 15)),
    ),
    "BPTT": make_pipeline(
        TimeDistributed(StandardScaler()), RNNClassifier(random_state=0)
    ),
}
table = models["features"][0].fit_transform(X)
print(
    f"{len(X)} utterances of {min(map(len, X))} to {max(map(len, X))} steps become a "
    f"table {table.shape}"
)

# %%
# Few utterances, and more
# ------------------------
#
# We train with 2 to 30 utterances of each speaker.

numbers = [18, 45, 90, 270]
accuracy = {name: [] for name in models}
seconds = {name: [] for name in models}
print("utterances   " + "".join(f"{name:>22}" for name in models))
for number in numbers:
    chosen = np.arange(len(X))
    if number < len(X):
        splits = StratifiedShuffleSplit(1, train_size=number, random_state=0)
        chosen, _ = next(splits.split(chosen, y))
    line = f"{number:<13}"
    for name, model in models.items():
        start = time.perf_counter()
        model.fit([X[i] for i in chosen], y[chosen])
        seconds[name].append(time.perf_counter() - start)
        accuracy[name].append(model.score(X_test, y_test))
        line += f"{accuracy[name][-1]:>14.3f} {seconds[name][-1]:5.2f} s"
    print(line)

# %%

fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
for name in models:
    above.plot(numbers, accuracy[name], "o-", label=name)
    below.plot(numbers, seconds[name], "o-", label=name)
above.set(xlabel="training utterances", ylabel="test accuracy")
below.set(xlabel="training utterances", ylabel="seconds to fit")
above.legend()
plt.show()

# %%
# What the features are
# ---------------------
#
# Every unit is a random filter with a fading memory of a few or of many steps. Its features are its last state, and the
# share of steps in which its state is above each of seven thresholds, in the first, second and last third of the
# utterance. The names say which column is which.

names = models["features"][0].get_feature_names_out()
print(", ".join(names[:3]), "...", ", ".join(names[-3:]))

# %%
# So the choice is: with few sequences, or little time, begin with features. With many sequences, with labels at every
# step, or in streams, train a network: only BPTT can learn which memories the task needs.
