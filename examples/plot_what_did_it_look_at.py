"""
What did it look at?
====================

A network says that a machine will fail. Before anybody stops the machine, they ask: what did it see, and when? Here the
answer is known, because we made the data. So we can check whether the explanation finds it.
"""

# %%
# Each sequence is a run of a machine: pressure, temperature and speed, measured at every step. Runs have different
# lengths. In half of them the pressure drops for 12 steps, somewhere in the run, before the machine fails. In every run
# the temperature drifts, and the speed has a dip like that of the pressure. Neither says anything about failures.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier
from sklearn_rnn.inspection import AttributionDisplay, attribute, permutation_importance
from sklearn_rnn.preprocessing import TimeDistributed

plt.rc("font", size=13)

FEATURES = ["pressure (bar)", "temperature (°C)", "speed (rpm)"]
LENGTH_OF_DIP = 12


def make_runs(n_runs, seed):
    """Return runs, whether they end in a failure, and the first step of the drop in
    pressure."""
    generator = np.random.default_rng(seed)
    runs, starts = [], []
    for _ in range(n_runs):
        n_steps = generator.integers(80, 121)
        pressure = 5 + 0.15 * generator.normal(size=n_steps)
        temperature = 70 + np.cumsum(0.3 * generator.normal(size=n_steps))
        speed = 1500 + 15 * generator.normal(size=n_steps)
        start, other = generator.integers(5, n_steps - LENGTH_OF_DIP - 5, size=2)
        dip = np.hanning(LENGTH_OF_DIP)
        speed[other : other + LENGTH_OF_DIP] -= 60 * dip
        pressure[start : start + LENGTH_OF_DIP] -= 0.6 * dip * (len(runs) % 2)
        runs.append(np.column_stack([pressure, temperature, speed]))
        starts.append(start)
    return runs, np.where(np.arange(n_runs) % 2, "fails", "runs on"), np.array(starts)


X_train, y_train, _ = make_runs(400, seed=0)
X, y, starts = make_runs(100, seed=1)
model = make_pipeline(
    TimeDistributed(StandardScaler()),
    RNNClassifier((32,), readout="mean", max_iter=40, random_state=0),
)
model.fit(X_train, y_train)
print(f"accuracy on other runs: {model.score(X, y):.2f}")

# %%
# One run
# -------
#
# :func:`~sklearn_rnn.inspection.attribute` gives the part of each value of each step in the score of "fails". The
# scaler of the pipeline is linear, so the parts belong to the values that the machine measured. A value counts by its
# distance from the baseline, the mean of the feature.

failing = np.flatnonzero(y == "fails")
explanation = attribute(model, X, "fails")
run = failing[np.argmax(explanation.outputs[failing] > 0)]
print(
    f"score of 'fails': {explanation.outputs[run]:.2f}; of the baseline: "
    f"{explanation.baseline_outputs[run]:.2f}"
)
print(f"sum of all parts: {explanation.attributions[run].sum():.2f}")

# %%
# :class:`~sklearn_rnn.inspection.AttributionDisplay` draws them: red values raised the score, blue ones lowered it. The
# title adds the parts up. The pressure drops between the dashed lines.

display = AttributionDisplay.from_estimator(
    model, X, "fails", index=run, feature_names=FEATURES
)
for border in (starts[run] - 0.5, starts[run] + LENGTH_OF_DIP - 0.5):
    display.ax_.axvline(border, color="black", linestyle="--", linewidth=1)
plt.show()

# %%
# All runs
# --------
#
# Is this run an exception? In every run that fails, we add up the sizes of the parts of the pressure, and ask which
# share of them lies within the drop. For comparison: the share of the run's steps that the drop takes.


def share_within(parts):
    """Return the mean share of the drop in the sizes of the parts, over the runs that
    fail."""
    shares = []
    for i in failing:
        sizes = np.abs(parts[i])
        shares.append(sizes[starts[i] : starts[i] + LENGTH_OF_DIP].sum() / sizes.sum())
    return np.mean(shares)


by_steps = share_within([np.ones(len(x)) for x in X])
print(
    f"share of the steps: {by_steps:.2f}; share of the parts of the pressure: ", end=""
)
print(f"{share_within([values[:, 0] for values in explanation.attributions]):.2f}")

# %%
# Occlusion asks another question: how does the score change if a step is replaced by the baseline? It needs no
# gradient, and runs the network once for each step.

occluded = attribute(model, X, "fails", method="step_occlusion")
print(f"by occlusion: {share_within(occluded.attributions):.2f}")

# %%
# Which features matter at all
# ----------------------------
#
# :func:`~sklearn_rnn.inspection.permutation_importance` shuffles a whole feature between runs of like length, and
# measures the loss in accuracy. It speaks about the model and all runs, where attributions speak about one run.

result = permutation_importance(model, X, y, n_repeats=5, random_state=0)
for name, mean, std in zip(FEATURES, result.importances_mean, result.importances_std):
    print(f"{name:18} {mean:.2f} ± {std:.2f}")

# %%

fig, ax = plt.subplots(figsize=(7, 2.5), layout="constrained")
ax.barh(
    FEATURES[::-1],
    result.importances_mean[::-1],
    xerr=result.importances_std[::-1],
    color="C0",
)
ax.set_xlabel("loss in accuracy when the feature is shuffled")
plt.show()
